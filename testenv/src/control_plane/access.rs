//! Ways into a control plane: clients and kubeconfigs of any identity, namespaces, kubectl and metrics.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::Value;

use crate::component::Component;
use crate::control_plane::ControlPlane;
use crate::error::{Error, Result};
use crate::kubeconfig;
use crate::metrics::{self, RequestKind};
use crate::wait;

/// How long a ServiceAccount's token of a test is valid, in seconds.
const TOKEN_SECONDS: i64 = 24 * 3600;
/// How long a component, or a namespace's first ServiceAccount, may take to come up, in seconds. Much longer than it
/// takes: other tests may be busy on the same two cores.
const READY_SECONDS: u64 = 120;

impl ControlPlane {
    /// Gives a client with all rights (group `system:masters`), which priority and fairness never hold up.
    ///
    /// The client belongs to the calling runtime. It never repeats a request by itself.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "the start of the control plane has made a client from this configuration"
    )]
    pub fn client(&self) -> Client {
        Client::try_from(self.admin.clone()).expect("a client with the admin's certificate")
    }

    /// Gives the configuration [`ControlPlane::client`] is made from, for callers that change it first.
    #[must_use]
    pub fn config(&self) -> Config {
        self.admin.clone()
    }

    /// Gives a client that acts as any user in any groups, without rights of its own; see [`ControlPlane::kubeconfig_as`].
    ///
    /// # Errors
    /// When the names cannot be sent as headers.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        self.client_with(self.acting_as(user, groups), user)
    }

    /// Gives a client with a ServiceAccount's own token.
    ///
    /// # Errors
    /// When the account does not exist.
    pub async fn client_for_service_account(&self, namespace: &str, name: &str) -> Result<Client> {
        let token = self.token(namespace, name, None).await?;
        self.client_with(kubeconfig::by_token(token), name)
    }

    /// Gives a configuration with the token that a pod of a ServiceAccount finds mounted: bound to that pod.
    ///
    /// # Errors
    /// When the account or the pod does not exist.
    pub async fn config_in_pod(
        &self,
        namespace: &str,
        account: &str,
        pod: &impl kube::ResourceExt,
    ) -> Result<Config> {
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            uid: pod.uid(),
        };
        let mut config = self.admin.clone();
        let token = self.token(namespace, account, Some(bound)).await?;
        config.auth_info = kubeconfig::by_token(token);
        Ok(config)
    }

    /// Writes a kubeconfig that acts as any user in any groups (`system:authenticated` comes by itself).
    ///
    /// It holds the admin's certificate and impersonates: unlike a certificate's organisations, that takes any
    /// number of groups. Authorisation, admission and priority see only the user acted as.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        self.write_kubeconfig(self.acting_as(user, groups))
    }

    /// Writes a kubeconfig with a ServiceAccount's own token, valid for a day.
    ///
    /// # Errors
    /// When the account does not exist or the file cannot be written.
    pub async fn kubeconfig_for_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf> {
        let token = self.token(namespace, name, None).await?;
        self.write_kubeconfig(kubeconfig::by_token(token))
    }

    /// Writes a kubeconfig for something that stands between its user and the API server, at this URL: it trusts this
    /// run's certificates (see [`ControlPlane::serving_files`]) and has no credentials.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_through(&self, url: &str) -> Result<PathBuf> {
        let path = self.new_file("kubeconfig");
        let kubeconfig = kubeconfig::kubeconfig(url, &self.pki.ca_certificate, AuthInfo::default());
        kubeconfig::write(&path, &kubeconfig)?;
        Ok(path)
    }

    /// Gives the files of a certificate for `127.0.0.1` and `localhost`, its key, and the authority that signed it.
    #[must_use]
    pub fn serving_files(&self) -> [PathBuf; 3] {
        ["serving.crt", "serving.key", "ca.crt"].map(|file| self.directory().join(file))
    }

    /// Makes a client certificate and its key, both PEM: the server takes the names as user and group.
    ///
    /// # Errors
    /// When the names cannot be written into a certificate.
    pub fn client_certificate(&self, user: &str, group: &str) -> Result<(String, String)> {
        let identity = self.pki.client(user, Some(group))?;
        Ok((identity.certificate, identity.key))
    }

    /// Sends a call to etcd's JSON gateway.
    pub(super) async fn call_etcd(&self, path: &str, body: &Value) -> Result<Value> {
        let what = format!("call {path} of etcd");
        let mut config = self.admin.clone();
        config.auth_info = AuthInfo::default();
        config.cluster_url = self
            .etcd_url()
            .parse()
            .map_err(|error: http::uri::InvalidUri| invalid(&what, &error))?;
        let request = http::Request::post(path)
            .body(body.to_string().into_bytes())
            .map_err(|error| invalid(&what, &error))?;
        client(config, "etcd")?
            .request(request)
            .await
            .map_err(Error::request(what))
    }

    /// Creates a namespace named after `prefix` that nobody else has, and waits until pods can be created in it.
    ///
    /// # Errors
    /// When the prefix is no valid name or the namespace's ServiceAccount does not come.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{prefix}-")),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let created = Api::<Namespace>::all(self.client())
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(Error::request(format!("create namespace {prefix}-*")))?;
        let name = created.name_any();
        self.default_service_account(&name).await?;
        Ok(name)
    }

    /// Gives a kubectl command with the admin's rights, of the same version as the server.
    ///
    /// # Errors
    /// When `KUBEBUILDER_ASSETS` has no kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(self.programs.kubectl()?);
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// Gives the text of a component's `/metrics`.
    ///
    /// # Errors
    /// When the component does not answer.
    pub async fn metrics(&self, component: Component) -> Result<String> {
        self.get(component, "/metrics").await
    }

    /// Counts the requests the API server has answered since it was last started, from all clients together.
    ///
    /// A watch counts when it ends. Subtract an earlier count, and run nothing else meanwhile.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn api_requests(&self) -> Result<BTreeMap<RequestKind, u64>> {
        let text = self.metrics(Component::ApiServer).await?;
        Ok(metrics::api_requests(&text))
    }

    /// Waits until a component answers that it is well, or has ended.
    pub(super) async fn ready(&self, component: Component) -> Result<()> {
        let path = match component {
            Component::Etcd => "/health",
            Component::ApiServer => "/readyz",
            Component::ControllerManager | Component::Scheduler => "/healthz",
        };
        wait::until(
            &format!("{component} to become ready"),
            Duration::from_secs(READY_SECONDS),
            self.directory(),
            || async {
                self.all_alive()?;
                Ok(self.get(component, path).await.is_ok())
            },
        )
        .await
    }

    /// Waits until pods can be created in a namespace; without a controller manager, sees to it.
    pub(super) async fn default_service_account(&self, namespace: &str) -> Result<()> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client(), namespace);
        let is_ours = !self.processes.contains_key(&Component::ControllerManager);
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some("default".into()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        wait::until(
            &format!("ServiceAccount {namespace}/default"),
            Duration::from_secs(READY_SECONDS),
            self.directory(),
            || async {
                self.all_alive()?;
                if is_ours {
                    // Refused while the namespace is not there yet, or once the account is: the look below tells.
                    let _ = accounts.create(&PostParams::default(), &account).await;
                }
                Ok(matches!(accounts.get_opt("default").await, Ok(Some(_))))
            },
        )
        .await
    }

    async fn get(&self, component: Component, path: &str) -> Result<String> {
        self.process(component)?;
        let port = self.layout.port(component);
        let mut config = self.admin.clone();
        let scheme = match component {
            Component::Etcd => {
                config.auth_info = AuthInfo::default();
                "http"
            }
            _ => "https",
        };
        let what = format!("get {path} of {component}");
        config.cluster_url = format!("{scheme}://127.0.0.1:{port}")
            .parse()
            .map_err(|error: http::uri::InvalidUri| invalid(&what, &error))?;
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|error| invalid(&what, &error))?;
        client(config, "admin")?
            .request_text(request)
            .await
            .map_err(Error::request(what))
    }

    async fn token(
        &self,
        namespace: &str,
        name: &str,
        bound: Option<BoundObjectReference>,
    ) -> Result<String> {
        let what = format!("get a token for ServiceAccount {namespace}/{name}");
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                bound_object_ref: bound,
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer: TokenRequest = Api::<ServiceAccount>::namespaced(self.client(), namespace)
            .create_subresource("token", name, &PostParams::default(), &request)
            .await
            .map_err(Error::request(what.clone()))?;
        match answer.status {
            Some(status) => Ok(status.token),
            None => Err(invalid(&what, &"the answer has no status")),
        }
    }

    fn acting_as(&self, user: &str, groups: &[&str]) -> AuthInfo {
        AuthInfo {
            impersonate: Some(user.to_owned()),
            impersonate_groups: Some(groups.iter().map(|&group| group.to_owned()).collect()),
            ..self.admin.auth_info.clone()
        }
    }

    fn client_with(&self, user: AuthInfo, name: &str) -> Result<Client> {
        let mut config = self.admin.clone();
        config.auth_info = user;
        client(config, name)
    }

    fn write_kubeconfig(&self, user: AuthInfo) -> Result<PathBuf> {
        let path = self.new_file("kubeconfig");
        let kubeconfig = kubeconfig::kubeconfig(&self.url(), &self.pki.ca_certificate, user);
        kubeconfig::write(&path, &kubeconfig)?;
        Ok(path)
    }
}

fn client(config: Config, user: &str) -> Result<Client> {
    Client::try_from(config).map_err(Error::request(format!("make a client for {user}")))
}

fn invalid(what: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::io(what)(std::io::Error::new(
        std::io::ErrorKind::InvalidData,
        reason.to_string(),
    ))
}
