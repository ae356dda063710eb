//! What a control plane is started with.

use crate::component::Component;

/// What a control plane is started with. The default is everything, at the newest version.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(super) emulated_version: Option<String>,
    pub(super) without: Vec<Component>,
    pub(super) apiserver_arguments: Vec<String>,
}

impl Options {
    /// Behaves like an older minor version, such as `1.35`: its APIs, its defaults.
    #[must_use]
    pub fn emulated_version(mut self, version: impl Into<String>) -> Self {
        self.emulated_version = Some(version.into());
        self
    }

    /// Starts no scheduler: pods stay unbound, and cost nothing.
    #[must_use]
    pub fn without_scheduler(mut self) -> Self {
        self.without.push(Component::Scheduler);
        self
    }

    /// Starts no controller manager: nobody creates pods of Jobs, collects garbage or empties deleted namespaces.
    #[must_use]
    pub fn without_controller_manager(mut self) -> Self {
        self.without.push(Component::ControllerManager);
        self
    }

    /// Gives the API server one more argument, such as `--feature-gates=A=true`.
    #[must_use]
    pub fn apiserver_argument(mut self, argument: impl Into<String>) -> Self {
        self.apiserver_arguments.push(argument.into());
        self
    }
}
