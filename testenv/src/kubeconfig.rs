//! Kubeconfigs for any user, and client configurations under the rules of the tests.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster,
    NamedContext,
};

use crate::error::{Error, Result};
use crate::pki::Identity;

/// How long a response, or a watch between two events or bookmarks, may keep a test client waiting, in seconds.
const READ_SECONDS: u64 = 90;

/// Gives credentials that are a client certificate.
pub(crate) fn by_certificate(identity: &Identity) -> AuthInfo {
    AuthInfo {
        client_certificate_data: Some(STANDARD.encode(&identity.certificate)),
        client_key_data: Some(STANDARD.encode(&identity.key).into()),
        ..AuthInfo::default()
    }
}

/// Gives credentials that are a bearer token.
pub(crate) fn by_token(token: String) -> AuthInfo {
    AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    }
}

/// Gives a kubeconfig with one cluster and one user, complete in itself.
pub(crate) fn kubeconfig(server: &str, ca_certificate: &str, user: AuthInfo) -> Kubeconfig {
    const NAME: &str = "sluice-testenv";
    let cluster = Cluster {
        server: Some(server.to_owned()),
        certificate_authority_data: Some(STANDARD.encode(ca_certificate)),
        ..Cluster::default()
    };
    let context = Context {
        cluster: NAME.into(),
        user: Some(NAME.into()),
        ..Context::default()
    };
    Kubeconfig {
        kind: Some("Config".into()),
        api_version: Some("v1".into()),
        current_context: Some(NAME.into()),
        clusters: vec![NamedCluster {
            name: NAME.into(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.into(),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: NAME.into(),
            context: Some(context),
            ..NamedContext::default()
        }],
        ..Kubeconfig::default()
    }
}

/// Writes a kubeconfig to a file.
pub(crate) fn write(path: &Path, kubeconfig: &Kubeconfig) -> Result<()> {
    let text = serde_yaml::to_string(kubeconfig).map_err(|error| Error::Kubeconfig {
        user: path.display().to_string(),
        reason: error.to_string(),
    })?;
    std::fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}

/// Gives a client configuration. A test sees each answer as it came: nothing is sent twice behind its back.
pub(crate) async fn config(user: &str, kubeconfig: Kubeconfig) -> Result<Config> {
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| Error::Kubeconfig {
            user: user.to_owned(),
            reason: error.to_string(),
        })?;
    config.default_retry = false;
    config.read_timeout = Some(Duration::from_secs(READ_SECONDS));
    config.reset_reader_on_write = true;
    Ok(config)
}
