//! Each fault against a real API server: what the client sees, and what became of its request.

use std::time::Duration;

use fastrand::Rng;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;
use sluice_testenv::{ControlPlane, Options};

use super::fault::Fault;
use super::{Line, Proxy};
use crate::tally::{Deed, Tally};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

struct Stage {
    plane: ControlPlane,
    proxy: Proxy,
    tally: Tally,
    through: Api<ConfigMap>,
    direct: Api<ConfigMap>,
}

impl Stage {
    async fn new() -> Self {
        let bare = Options::default()
            .without_scheduler()
            .without_controller_manager();
        let plane = ControlPlane::start(bare).await.unwrap();
        let tally = Tally::new(plane.directory()).unwrap();
        let dice = Rng::with_seed(1);
        let proxy = Proxy::start(&plane, "tester", tally.clone(), dice)
            .await
            .unwrap();
        let kubeconfig = Kubeconfig::read_from(proxy.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        Self {
            through: Api::namespaced(client, "default"),
            direct: Api::namespaced(plane.client(), "default"),
            plane,
            proxy,
            tally,
        }
    }

    fn next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.proxy.state.script.lock().unwrap().extend(faults);
    }

    async fn create(&self, name: &str) -> kube::Result<ConfigMap> {
        let map = json!({"metadata": {"name": name}, "data": {"text": "x".repeat(2_000)}});
        let map = serde_json::from_value(map).unwrap();
        self.through.create(&PostParams::default(), &map).await
    }

    async fn is_there(&self, name: &str) -> bool {
        self.direct.get_opt(name).await.unwrap().is_some()
    }

    async fn comes(&self, name: &str) {
        let there = async {
            while !self.is_there(name).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, there).await.unwrap();
    }
}

fn code(result: kube::Result<ConfigMap>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_lost_doubled_late_and_refused() {
    let stage = Stage::new().await;
    stage.next([None, None]);
    stage.create("passed").await.unwrap();
    assert_eq!(
        stage.through.get("passed").await.unwrap().name_any(),
        "passed"
    );

    stage.next([
        Some(Fault::DropBefore),
        Some(Fault::DropAfter),
        Some(Fault::Truncate),
    ]);
    assert!(stage.create("before").await.is_err());
    assert!(!stage.is_there("before").await);
    assert!(stage.create("after").await.is_err());
    assert!(stage.is_there("after").await);
    assert!(stage.create("truncated").await.is_err());
    assert!(stage.is_there("truncated").await);

    let late = Duration::from_millis(200);
    stage.next([Some(Fault::Late(late)), Some(Fault::Late(PATIENCE))]);
    assert!(stage.create("late").await.is_err());
    stage.comes("late").await;

    stage.next([]);
    assert!(stage.create("never").await.is_err());
    stage.proxy.new_era();
    stage.next([
        Some(Fault::Duplicate { second: true }),
        Some(Fault::Duplicate { second: false }),
    ]);
    assert_eq!(code(stage.create("second").await), Some(409));
    assert!(stage.is_there("second").await);
    stage.create("first").await.unwrap();

    for refused in [409, 410, 422, 429, 500, 503, 504] {
        stage.next([Some(Fault::Answer(refused))]);
        assert_eq!(code(stage.create("refused").await), Some(refused));
    }
    assert!(!stage.is_there("refused").await && !stage.is_there("never").await);
    let counts = stage.tally.counts();
    assert_eq!(counts.of(Deed::Duplicated), 2);
    assert_eq!(counts.of(Deed::CarriedOutLate), 1);
    assert_eq!(counts.request_faults(), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_cut_and_mended() {
    let stage = Stage::new().await;
    stage.proxy.line(Line::Cut);
    assert!(stage.create("cut").await.is_err());
    stage.proxy.line(Line::Silent);
    let silence = tokio::time::timeout(Duration::from_millis(300), stage.create("silent")).await;
    assert!(silence.is_err(), "it was answered");
    stage.proxy.line(Line::Open);
    stage.next([None]);
    stage.create("mended").await.unwrap();
    assert!(!stage.is_there("cut").await && !stage.is_there("silent").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_was_not_told_is_told_to_list_when_all_is_well() {
    let stage = Stage::new().await;
    stage.next([None]);
    let begin = stage.through.list(&Default::default()).await.unwrap();
    let version = begin.metadata.resource_version.unwrap();
    stage.next([None]);
    let watch = stage
        .through
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap();
    stage
        .proxy
        .state
        .deceived("/api/v1/namespaces/default/configmaps");
    let map = json!({"metadata": {"name": "seen"}});
    let map: ConfigMap = serde_json::from_value(map).unwrap();
    stage
        .direct
        .create(&PostParams::default(), &map)
        .await
        .unwrap();
    stage.proxy.heal();
    let told = tokio::time::timeout(PATIENCE, watch.try_collect::<Vec<_>>())
        .await
        .unwrap();
    let told = told.unwrap();
    let last = told.last().unwrap();
    assert!(
        matches!(last, WatchEvent::Error(status) if status.code == 410),
        "{told:?}"
    );
    // Once, and from then on nothing is wrong any more.
    let watch = stage
        .through
        .watch(&WatchParams::default().timeout(1), &version)
        .await
        .unwrap();
    let told: Vec<_> = watch.try_collect().await.unwrap();
    assert!(
        told.iter()
            .any(|it| matches!(it, WatchEvent::Added(map) if map.name_any() == "seen")),
        "{told:?}"
    );
    for number in 0..50 {
        let patch = json!({"data": {"number": number.to_string()}});
        stage
            .through
            .patch("seen", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }
    drop(stage.plane);
}
