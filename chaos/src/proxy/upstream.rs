//! The proxy's own connection to the API server, as the identity of its client. Repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::error::{Error, Result};
use sluice_testenv::ControlPlane;

/// Longest the server may take for one answer that is no watch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A request as it came, to be sent as often as one likes.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Sent {
    /// The path without the query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(super) fn is_watch(&self) -> bool {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .any(|pair| matches!(pair, "watch=true" | "watch=1"))
    }

    pub(super) fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// What a log says of it.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// An answer of the server, complete.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) head: http::response::Parts,
    pub(super) body: Bytes,
}

/// The server did not answer, or not to the end.
#[derive(Debug)]
pub(super) struct Lost;

/// The connection.
#[derive(Debug)]
pub(super) struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
}

impl Upstream {
    pub(super) fn new(plane: &ControlPlane, user: &str) -> Result<Self> {
        let tls = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
        let (certificate, key) = plane.client_certificate(user, "system:masters")?;
        let certificate =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|it| tls(&it))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|it| tls(&it))?;
        let [_, _, authority] = plane.serving_files();
        let authority = CertificateDer::from_pem_file(authority).map_err(|it| tls(&it))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(|it| tls(&it))?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|it| tls(&it))?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .map_err(|it| tls(&it))?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self {
            client,
            base: plane.url(),
        })
    }

    /// Sends a request; the answer's body is still to come.
    pub(super) async fn open(&self, sent: &Sent) -> Result<Response<Incoming>, Lost> {
        let mut request = Request::builder()
            .method(sent.method.clone())
            .uri(format!("{}{}", self.base, sent.target))
            .body(Full::new(sent.body.clone()))
            .map_err(|_| Lost)?;
        for (name, value) in &sent.headers {
            // Plain bodies only, so that events can be told apart; the rest is the connection's own.
            if ![
                HOST,
                CONNECTION,
                CONTENT_LENGTH,
                TRANSFER_ENCODING,
                ACCEPT_ENCODING,
            ]
            .contains(name)
            {
                request.headers_mut().append(name, value.clone());
            }
        }
        let mut response = self.client.request(request).await.map_err(|_| Lost)?;
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }

    /// Sends a request and waits for the whole answer.
    pub(super) async fn send(&self, sent: &Sent) -> Result<Answer, Lost> {
        let whole = async {
            let (head, body) = self.open(sent).await?.into_parts();
            let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
            Ok(Answer { head, body })
        };
        tokio::time::timeout(ANSWER_TIMEOUT, whole)
            .await
            .map_err(|_| Lost)?
    }
}

/// The proxy's own side of TLS, with the certificate of this run.
pub(super) fn serving(plane: &ControlPlane) -> Result<ServerConfig> {
    let tls = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let [certificate, key, _] = plane.serving_files();
    let certificate = CertificateDer::from_pem_file(certificate).map_err(|it| tls(&it))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|it| tls(&it))?;
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|it| tls(&it))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(|it| tls(&it))
}

fn provider() -> Arc<tokio_rustls::rustls::crypto::CryptoProvider> {
    Arc::new(tokio_rustls::rustls::crypto::ring::default_provider())
}
