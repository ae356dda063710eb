//! Which API server, and which namespace: the rules of kubectl.
//!
//! The kubeconfig is `--kubeconfig`, else the files of `KUBECONFIG`, else `~/.kube/config`, else what a pod is given;
//! the context is `--context`, else the current one; the namespace is `--namespace`, else the context's, else
//! `default`. Tested on a real control plane (`tests/it/cli`).

use std::path::PathBuf;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::cli::CliError;
use crate::client::{self, ServerClock};

/// Which API server to talk to.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(in crate::cli) struct Connection {
    /// Kubeconfig to use in place of those of KUBECONFIG, or of ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, in place of its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Which API server to talk to, and in which namespace.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub(in crate::cli) struct Scope {
    #[command(flatten)]
    connection: Connection,
    /// Namespace, in place of that of the kubeconfig's context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
}

/// A connection, and the namespace at hand.
pub(in crate::cli) struct Server {
    pub(in crate::cli) client: Client,
    pub(in crate::cli) clock: ServerClock,
    pub(in crate::cli) namespace: String,
}

impl Connection {
    pub(in crate::cli) async fn open(&self) -> Result<(Client, ServerClock), CliError> {
        Ok(client::connect_with(self.config().await?)?)
    }

    async fn config(&self) -> Result<Config, CliError> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            let inferred = Config::infer().await;
            return Ok(inferred.map_err(client::ConnectError::from)?);
        }
        let unusable = |source| CliError::Kubeconfig {
            which: self.describe(),
            source,
        };
        let kubeconfig = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig.map_err(unusable)?, &options).await;
        config.map_err(unusable)
    }

    fn describe(&self) -> String {
        let file = match &self.kubeconfig {
            Some(file) => format!("kubeconfig {}", file.display()),
            None => "the kubeconfig".to_owned(),
        };
        match &self.context {
            Some(context) => format!("context {context} of {file}"),
            None => file,
        }
    }
}

impl Scope {
    /// The configuration itself, and the namespace at hand: for whoever makes connections of its own.
    pub(in crate::cli) async fn config(&self) -> Result<(Config, String), CliError> {
        let config = self.connection.config().await?;
        let namespace = self.namespace.as_ref();
        let namespace = namespace.unwrap_or(&config.default_namespace).clone();
        Ok((config, namespace))
    }

    pub(in crate::cli) async fn open(&self) -> Result<Server, CliError> {
        let (client, clock) = self.connection.open().await?;
        let namespace = self.namespace.as_deref();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace());
        Ok(Server {
            namespace: namespace.to_owned(),
            client,
            clock,
        })
    }
}
