//! `sluice ungate-all`: lets every waiting pod go and takes our finalizer off, so that nothing is
//! left behind that waits for a controller that is gone.
//!
//! It removes the admission binding first (else new pods would be gated behind its back), then works
//! until a list shows nothing of ours. It grants nothing: pods that are let go this way hold no slots.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};
use serde_json::{Value, json};

use super::look::Connection;
use super::{CliError, failed};
use crate::api::names;

/// Rounds over all pods; a pod that keeps its gate that long is kept by somebody's policy.
const ROUNDS_MAX: u32 = 60;
/// Pause between rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an API server may go on with a policy whose binding is deleted (it looks once a second; of
/// several servers each in its own time). A pod gated meanwhile would wait for ever.
const POLICY_LAG: Duration = Duration::from_secs(3);

/// Arguments of `sluice ungate-all`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice ungate-all --remove-admission-binding sluice-gate     before the chart is uninstalled by hand
  sluice ungate-all --namespaces team-a,team-b")]
pub(super) struct Arguments {
    /// Bindings of mutating admission policies to delete first, so that no new pod is gated.
    #[arg(long)]
    remove_admission_binding: Vec<String>,
    /// Namespaces to work in, separated by commas; all without it.
    #[arg(long, value_delimiter = ',')]
    namespaces: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let (client, _clock) = arguments.connection.open().await?;
    for binding in &arguments.remove_admission_binding {
        remove_binding(&client, binding).await?;
    }
    let policies_may_act_until = match arguments.remove_admission_binding.as_slice() {
        [] => Instant::now(),
        _ => Instant::now() + POLICY_LAG,
    };
    let apis: Vec<Api<Pod>> = match arguments.namespaces.as_slice() {
        [] => vec![Api::all(client.clone())],
        namespaces => namespaces
            .iter()
            .map(|it| Api::namespaced(client.clone(), it))
            .collect(),
    };
    let mut freed = 0_usize;
    for _ in 0..ROUNDS_MAX {
        let mut left = Vec::new();
        for api in &apis {
            for pod in ours(api).await? {
                match free(&client, &pod).await {
                    Ok(()) => freed += 1,
                    Err(error) => left.push(format!("{}: {error}", place(&pod))),
                }
            }
        }
        let policies_may_act = Instant::now() < policies_may_act_until;
        if left.is_empty() && !policies_may_act && nothing_left(&apis).await? {
            println!("{freed} pods were freed of Sluice's gate and finalizer");
            return Ok(());
        }
        for failure in left.iter().take(3) {
            eprintln!("sluice: still there: {failure}");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(CliError::Unfinished(
        "some pods keep Sluice's gate or finalizer; the lines above say why. Run the command again, \
         or remove them by hand as a holder of verb bypass on concurrencylimits.sluice.dev"
            .to_owned(),
    ))
}

async fn nothing_left(apis: &[Api<Pod>]) -> Result<bool, CliError> {
    for api in apis {
        if !ours(api).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// All pods that carry our gate or finalizer, labelled or not.
async fn ours(api: &Api<Pod>) -> Result<Vec<Pod>, CliError> {
    super::list_all(api, "pods", |pod| gate(pod).is_some() || has_finalizer(pod)).await
}

fn gate(pod: &Pod) -> Option<usize> {
    let gates = pod.spec.as_ref()?.scheduling_gates.as_ref()?;
    gates.iter().position(|gate| gate.name == names::GATE)
}

fn has_finalizer(pod: &Pod) -> bool {
    pod.metadata
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == names::FINALIZER)
}

async fn free(client: &Client, pod: &Pod) -> Result<(), Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut operations =
        vec![json!({"op": "test", "path": "/metadata/uid", "value": pod.metadata.uid})];
    if let Some(index) = gate(pod) {
        let path = format!("/spec/schedulingGates/{index}");
        operations
            .push(json!({"op": "test", "path": format!("{path}/name"), "value": names::GATE}));
        operations.push(json!({"op": "remove", "path": path}));
    }
    if has_finalizer(pod) {
        let all = pod.metadata.finalizers.clone().unwrap_or_default();
        let rest: Vec<&String> = all.iter().filter(|it| *it != names::FINALIZER).collect();
        operations.push(json!({"op": "test", "path": "/metadata/finalizers", "value": all}));
        operations.push(json!({"op": "add", "path": "/metadata/finalizers", "value": rest}));
    }
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch: json_patch::Patch =
        serde_json::from_value(Value::Array(operations)).map_err(Error::SerdeError)?;
    match api
        .patch(name, &PatchParams::default(), &Patch::Json::<()>(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

async fn remove_binding(client: &Client, name: &str) -> Result<(), CliError> {
    let kind = GroupVersionKind::gvk(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
    );
    let resource = ApiResource::from_gvk_with_plural(&kind, "mutatingadmissionpolicybindings");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => {
            println!("binding {name} is deleted: new pods are no longer gated");
            Ok(())
        }
        // Neither the binding nor, on older clusters, the kind has to exist.
        Err(Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(failed(format!("binding {name} cannot be deleted"), source)),
    }
}

fn place(pod: &Pod) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    format!(
        "pod {}/{}",
        text(&pod.metadata.namespace),
        text(&pod.metadata.name)
    )
}
