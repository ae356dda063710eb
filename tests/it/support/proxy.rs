//! A wire between one holder and the API server, which a test can cut: every connection is broken and refused, or no
//! byte goes either way and nobody is told. Healed, what was on its way arrives late, as after a partition.
//!
//! It carries bytes and knows nothing of them. It runs on a thread of its own: a test may wait for a process meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::world::Space;

/// Bytes that are carried at once.
const PIECE: usize = 16 * 1024;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// They go through.
    Whole,
    /// Connections are reset, the open ones and every new one.
    Cut,
    /// They stay where they are, and connections stay open.
    Silent,
}

/// The wire. Dropping it ends its thread.
pub(crate) struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
}

impl Proxy {
    /// A whole wire to the API server of this world.
    pub(crate) fn to_server(space: &Space) -> Self {
        let server = space.plane().config().cluster_url;
        let server = format!("{}:{}", server.host().unwrap(), server.port_u16().unwrap());
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (wire, state) = watch::channel(Wire::Whole);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(listen(listener, server, state));
        });
        Self { address, wire }
    }

    /// From now on bytes fare so.
    pub(crate) fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The admin's kubeconfig, by way of it.
    pub(crate) fn kubeconfig(&self, space: &Space) -> PathBuf {
        let text = std::fs::read_to_string(space.plane().kubeconfig()).unwrap();
        let mut config: Value = serde_yaml::from_str(&text).unwrap();
        config["clusters"][0]["cluster"]["server"] = self.url().into();
        let name = format!("through-{}.kubeconfig", self.address.port());
        let path = space.plane().directory().join(name);
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

/// Accepts until nobody has the other end of the state.
async fn listen(listener: std::net::TcpListener, server: String, mut state: watch::Receiver<Wire>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                tokio::spawn(carry(client, server.clone(), state.clone()));
            }
            changed = state.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn carry(mut client: TcpStream, server: String, mut state: watch::Receiver<Wire>) {
    let now = state.wait_for(|wire| *wire != Wire::Silent).await;
    if now.map_or(Wire::Cut, |wire| *wire) == Wire::Cut {
        return reset(&client);
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return reset(&client);
    };
    let cut = {
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = server.split();
        let there = pump(client_reads, server_writes, state.clone());
        let back = pump(server_reads, client_writes, state.clone());
        tokio::select! {
            _ = state.wait_for(|wire| *wire == Wire::Cut) => true,
            _ = futures::future::join(there, back) => false,
        }
    };
    if cut {
        reset(&client);
        reset(&server);
    }
}

/// Carries one way, while the wire is whole.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut state: watch::Receiver<Wire>) {
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await.unwrap_or(0);
        if state.wait_for(|wire| *wire == Wire::Whole).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&piece[..read]).await.is_err() {
            // Whoever reads there is told that this is the end.
            let _ = to.shutdown().await;
            return;
        }
    }
}

/// The connection is broken, not ended, when it is dropped.
fn reset(connection: &TcpStream) {
    // One that is broken already needs nothing.
    let _ = connection.set_zero_linger();
}
