//! What stands between one controller and the real API server: passes everything on, but for what the seed says.
//!
//! One proxy for each controller, with a client certificate of that controller's own: the server sees who asks. It
//! invents no answer that would lie about an object: an answer of its own says that the server refused or failed, and an
//! event is only ever left out. Tested in `tests.rs`, against a real control plane, and in the modules.

mod fault;
mod state;
#[cfg(test)]
mod tests;
mod unary;
mod upstream;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use fastrand::Rng;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sluice_testenv::ControlPlane;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::state::Line;
use self::state::State;
use self::upstream::{Sent, Upstream};
use crate::error::{Error, Result};
use crate::tally::{Deed, Tally};

type Body = BoxBody<Bytes, std::io::Error>;

/// The connection ends here, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

/// A proxy that serves until it is dropped.
pub(crate) struct Proxy {
    state: Arc<State>,
    kubeconfig: PathBuf,
    listener: AbortHandle,
}

impl Proxy {
    /// Starts one for the controller of this name.
    pub(crate) async fn start(
        plane: &ControlPlane,
        name: &str,
        tally: Tally,
        dice: Rng,
    ) -> Result<Self> {
        let bind = || Error::io("listen for a proxy");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(bind())?;
        let address = listener.local_addr().map_err(bind())?;
        let tls = TlsAcceptor::from(Arc::new(upstream::serving(plane)?));
        let upstream = Upstream::new(plane, name)?;
        let state = Arc::new(State::new(name.to_owned(), upstream, tally, dice));
        let kubeconfig = plane.kubeconfig_through(&format!("https://{address}"))?;
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Ok(Self {
            state,
            kubeconfig,
            listener: task.abort_handle(),
        })
    }

    /// The kubeconfig that leads through it.
    pub(crate) fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }

    /// Cuts the line, or mends it.
    pub(crate) fn line(&self, line: Line) {
        self.state.line.send_replace(line);
    }

    /// Nothing that is under way may arrive any more.
    pub(crate) fn new_era(&self) {
        self.state
            .era
            .send_modify(|era| *era = era.saturating_add(1));
    }

    /// Its client was started anew.
    pub(crate) fn new_client(&self) {
        self.state.forget();
    }

    /// Stops all faults. Watchers that were not told everything are told to list anew: a server that leaves out an event
    /// for good does not exist, and only a listing could make up for it.
    pub(crate) fn heal(&self) {
        self.state.heal();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.new_era();
        self.listener.abort();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Out of files for a moment; the client tries again.
            tokio::task::yield_now().await;
            continue;
        };
        if *state.line.borrow() == Line::Cut {
            state.did(Deed::CutOff, &format!("connection from {from}"));
            continue;
        }
        tokio::spawn(serve(stream, tls.clone(), Arc::clone(&state)));
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, state: Arc<State>) {
    let mut era = state.era.subscribe();
    let connection = async {
        let Ok(stream) = tls.accept(stream).await else {
            return;
        };
        let service = service_fn(|request| handle(Arc::clone(&state), request));
        // Its end, good or bad, is the client's to notice.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    };
    tokio::select! {
        biased;
        _ = era.changed() => {}
        () = connection => {}
    }
}

async fn handle(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |it| it.as_str());
    let sent = Sent {
        target: target.to_owned(),
        method: head.method,
        headers: head.headers,
        body: body.collect().await.map_err(|_| Cut)?.to_bytes(),
    };
    state.tally.request();
    passes(&state, &sent).await?;
    if sent.is_watch() {
        watch::answer(&state, sent).await
    } else {
        unary::answer(&state, sent).await
    }
}

/// Whether the line is open. On a silent one a request waits until there is a line again, and is lost.
async fn passes(state: &State, sent: &Sent) -> Result<(), Cut> {
    let mut line = state.line.subscribe();
    let now = *line.borrow_and_update();
    if now == Line::Open {
        return Ok(());
    }
    state.did(Deed::CutOff, &sent.line());
    if now == Line::Silent {
        let _ = line.wait_for(|line| *line != Line::Silent).await;
    }
    Err(Cut)
}
