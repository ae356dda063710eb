//! What happens to control planes: processes die, hang, and come back.

use std::time::Duration;

use crate::component::Component;
use crate::control_plane::ControlPlane;
use crate::error::Result;
use crate::ports;
use crate::wait;

/// How long a port may stay taken after its process is gone, in seconds.
const PORT_SECONDS: u64 = 10;

impl ControlPlane {
    /// Ends a component at once (SIGKILL). It stays away until [`ControlPlane::start_component`].
    ///
    /// # Errors
    /// When this control plane never had the component.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.process(component)?.kill()
    }

    /// Ends a component as an operator would (SIGTERM), but for the API server, which would drain for many seconds and
    /// is killed.
    ///
    /// # Errors
    /// When this control plane never had the component.
    pub fn stop(&self, component: Component) -> Result<()> {
        match component {
            Component::ApiServer => self.kill(component),
            _ => self.process(component)?.terminate(),
        }
    }

    /// Starts a component again that was killed or stopped, at its old port, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up; the error names its log.
    pub async fn start_component(&self, component: Component) -> Result<()> {
        let process = self.process(component)?;
        if process.id().is_none() {
            let port = self.layout.port(component);
            wait::until(
                &format!("port {port} of {component} to become free"),
                Duration::from_secs(PORT_SECONDS),
                self.directory(),
                || async { Ok(ports::is_free(port)) },
            )
            .await?;
            process.spawn()?;
        }
        self.ready(component).await
    }

    /// Stops a component, starts it again at its old port, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up; the error names its log.
    pub async fn restart(&self, component: Component) -> Result<()> {
        self.stop(component)?;
        self.start_component(component).await
    }

    /// Freezes a component (SIGSTOP): its connections stay open, and nothing answers.
    ///
    /// # Errors
    /// When the component is not running.
    pub fn pause(&self, component: Component) -> Result<()> {
        self.process(component)?.pause()
    }

    /// Lets a frozen component go on (SIGCONT).
    ///
    /// # Errors
    /// When the component is not running.
    pub fn resume(&self, component: Component) -> Result<()> {
        self.process(component)?.resume()
    }

    /// Gives a component's process id while it runs.
    #[must_use]
    pub fn process_id(&self, component: Component) -> Option<u32> {
        self.processes.get(&component)?.id()
    }
}
