//! The record of a forced release: an event that says who asked, what is taken, and why. Without it nothing is released.

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};

use super::Holder;
use crate::api::names;
use crate::cli::look::{Server, Target};
use crate::cli::{CliError, failed};
use crate::ledger::Micros;

/// Who reports the events of this command.
const REPORTER: &str = "sluice.dev/cli";

/// Puts on record who asks for what, and why.
pub(super) async fn record(
    server: &Server,
    target: &Target,
    object: &DynamicObject,
    holder: &Holder,
    reason: &str,
) -> Result<(), CliError> {
    let user = user(server).await;
    let holds = holder.holds.as_deref().unwrap_or_default();
    let note = format!("{user} takes {holds} from {holder} without proof of its end: {reason}");
    let now = Micros(server.clock.micros());
    let manifest = event(target, object, &note, now);
    let event: Event =
        serde_json::from_value(manifest).map_err(|error| CliError::Render(error.to_string()))?;
    let api: Api<Event> = Api::namespaced(server.client.clone(), &target.namespace);
    let created = api.create(&PostParams::default(), &event).await;
    created.map(|_| ()).map_err(|source| {
        failed(
            format!(
                "nothing is released, because it cannot be recorded by an event in namespace {}",
                target.namespace
            ),
            source,
        )
    })
}

/// Who runs this, as the server knows them.
async fn user(server: &Server) -> String {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("Content-Type", "application/json")
        .body(review.to_string().into_bytes());
    let Ok(request) = request else {
        return "somebody".to_owned();
    };
    // The record is worth having without a name: the server's audit log has it too.
    let answer: Result<Value, _> = server.client.request(request).await;
    let name = answer.ok().and_then(|it| {
        let name = it["status"]["userInfo"]["username"].as_str();
        name.map(str::to_owned)
    });
    name.unwrap_or_else(|| "somebody".to_owned())
}

fn event(target: &Target, object: &DynamicObject, note: &str, now: Micros) -> Value {
    let time = jiff::Timestamp::from_microsecond(i64::try_from(now.0).unwrap_or(0))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let name = target.name();
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}.{:016x}", fastrand::u64(..)),
            "namespace": target.namespace,
        },
        "eventTime": format!("{time:.6}"),
        "reportingController": REPORTER,
        "reportingInstance": "sluice",
        "action": "Release",
        "reason": "ReleaseRequested",
        "regarding": {
            "apiVersion": names::API_VERSION,
            "kind": target.kind.resource().kind,
            "namespace": target.namespace,
            "name": name,
            "uid": object.metadata.uid,
        },
        "note": note,
        "type": "Warning",
    })
}
