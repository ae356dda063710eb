//! Two small endpoints: metrics, and health. `/healthz` answers while the driver lives, `/readyz` once
//! all watches have listed. Nothing else is served.

use std::net::SocketAddr;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info};

use super::metrics::Metrics;

/// What the endpoints answer from.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) metrics: Metrics,
    pub(super) ready: watch::Receiver<bool>,
}

/// Binds an address.
pub(super) async fn bind(what: &'static str, at: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(at).await?;
    info!(address = %listener.local_addr()?, "serving {what}");
    Ok(listener)
}

/// Serves what is bound, for ever; its connections end with it.
pub(super) async fn serve(listener: TcpListener, answers: Answers) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, answers.clone()));
            }
            Err(error) => debug!(%error, "a connection was not accepted"),
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, answers: Answers) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&answers, request.uri().path());
        async move { response }
    });
    if let Err(error) = hyper::server::conn::http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        debug!(%error, "a connection ended");
    }
}

fn answer(answers: &Answers, path: &str) -> Result<Response<Full<Bytes>>, http::Error> {
    let (status, content_type, body) = match path {
        "/metrics" => (
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            answers.metrics.render(),
        ),
        "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" if *answers.ready.borrow() => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" => (
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain",
            "not all watches have listed yet; are the CRDs installed and the roles bound?\n"
                .to_owned(),
        ),
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "try /metrics, /healthz or /readyz\n".to_owned(),
        ),
    };
    Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, content_type)
        .body(Full::new(Bytes::from(body)))
}
