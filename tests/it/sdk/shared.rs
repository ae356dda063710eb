//! The bodies that the SDK's tests share with the embedded ones, on the real control plane.

use kube::Api;
use serde_json::json;
use sluice::api::ConcurrencyLimit;
use sluice::client::ClientBuilder;

use super::stage::builder;
use crate::all_sdk_tests;
use crate::sdk_bodies::Stage;
use crate::support::World;

/// Most letters of a test's name that its namespace has.
const PREFIX_LETTERS: usize = 24;

/// A namespace with a controller of its own, named after its test.
async fn world(test: &str) -> World {
    let short: String = test
        .replace('_', "-")
        .chars()
        .take(PREFIX_LETTERS)
        .collect();
    World::new(&format!("shared-{}", short.trim_matches('-'))).await
}

/// The name of the object that serves a key.
fn object_name(key: &str) -> String {
    key.replace(':', "--")
}

impl Stage for World {
    async fn limit(&self, key: &str, slots: i32) {
        self.space(0).limit(&object_name(key), slots).await;
    }

    async fn rate(&self, key: &str, slots: i32, per_seconds: i32) {
        let decay = json!({"slots": 1, "perSeconds": per_seconds});
        let spec = json!({"slots": slots, "decay": decay});
        self.space(0).limit_with(&object_name(key), spec).await;
    }

    async fn family(&self, key: &str, slots: i32) {
        let spec = json!({"slots": slots, "perWorker": {}});
        self.space(0).limit_with(&object_name(key), spec).await;
    }

    async fn lock(&self, key: &str) {
        self.space(0).lock(&object_name(key)).await;
    }

    fn builder(&self) -> ClientBuilder {
        builder(self)
    }

    async fn close(self) {
        self.finish().await;
    }

    async fn numbers(&self, limit: &str) -> (i64, i64) {
        let limits: Api<ConcurrencyLimit> =
            Api::namespaced(self.space(0).client(), self.namespace());
        let limit = limits.get_opt(&object_name(limit)).await.unwrap();
        let status = limit.and_then(|limit| limit.status).unwrap_or_default();
        (
            i64::from(status.ledger.in_use),
            i64::from(status.ledger.waiting),
        )
    }
}

all_sdk_tests!(world);
