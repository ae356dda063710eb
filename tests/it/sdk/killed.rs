//! Programs that are killed: nothing of theirs runs any more, and what they held passes on when their lease is over.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use sluice::client::Client;

use super::stage::{LEASE, client, empty};
use crate::support::World;

/// The namespace of the program.
const NAMESPACE: &str = "SLUICE_TEST_NAMESPACE";
/// What its line begins with when it holds.
const HOLDS: &str = "program holds ";

/// It holds until it is killed.
#[tokio::test]
#[ignore = "a program that the other test runs"]
async fn program() {
    let namespace = std::env::var(NAMESPACE).unwrap();
    let client = Client::builder().namespace(namespace).lease(LEASE);
    let client = client.connect().await.unwrap();
    let slots = client.concurrency("gpu").acquire().await.unwrap();
    println!("\n{HOLDS}{}", slots.claim().unwrap());
    std::future::pending::<()>().await;
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(world: &World) -> Running {
    let program = Command::new(std::env::current_exe().unwrap())
        .args([
            "sdk::killed::program",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("KUBECONFIG", world.plane().kubeconfig())
        .env(NAMESPACE, world.namespace())
        .stdout(Stdio::piped())
        .spawn();
    Running(program.unwrap())
}

/// The name of the claim that it holds.
fn held_by(program: &mut Running) -> String {
    let output = BufReader::new(program.0.stdout.take().unwrap());
    let lines = output.lines().map(Result::unwrap);
    let mut said = lines.filter_map(|line| line.strip_prefix(HOLDS).map(ToOwned::to_owned));
    said.next().expect("it ended before it held")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_program_held_passes_on_when_its_lease_is_over() {
    let world = World::new("sdk-killed").await;
    world.limit("gpu", 1).await;
    let mut program = start(&world);
    let (program, claim) = tokio::task::spawn_blocking(move || {
        let claim = held_by(&mut program);
        (program, claim)
    })
    .await
    .unwrap();
    assert_eq!(world.limit_now("gpu").await.holders(), [claim].into());
    let client = client(&world).await;
    let next = tokio::spawn(client.concurrency("gpu").acquire());
    world.waiting("gpu", 1).await;
    drop(program);
    let killed = Instant::now();
    let next = next.await.unwrap().unwrap();
    // It renewed a third of its lease before that, or later.
    assert!(
        killed.elapsed() > LEASE.mul_f64(0.6),
        "{:?}",
        killed.elapsed()
    );
    next.release().await.unwrap();
    empty(&world, "gpu").await;
    world.finish().await;
}
