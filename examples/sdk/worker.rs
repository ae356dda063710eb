//! A pipeline of which one step is scarce on each machine: downloads run freely, two trainings at a time on each
//! worker. One limit with `perWorker` serves all machines.
//!
//! ```sh
//! kubectl apply -f - <<END
//! apiVersion: sluice.dev/v1alpha1
//! kind: ConcurrencyLimit
//! metadata: {name: train}
//! spec: {slots: 2, perWorker: {}}
//! END
//! SLUICE_WORKER=worker-1 cargo run --example worker        # or: -- FAMILY JOBS
//! ```
//!
//! In a pod the worker is its label `sluice.dev/worker`, mounted at `/etc/podinfo/labels` by the downward API.

use std::time::Duration;

use sluice::client::{AcquireError, Client, Worker};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let family = arguments.next().unwrap_or_else(|| "train".to_owned());
    let jobs: u32 = arguments.next().map_or(Ok(6), |text| text.parse())?;

    let client = Client::try_default().await?;
    let _drain = client.drain_guard(Duration::from_secs(10));
    // Nobody knows which worker this is? Then this is an error, and not a worker called "default".
    let worker = client.worker(None)?;
    println!("worker {}", worker.name());

    let running: Vec<_> = (1..=jobs)
        .map(|job| tokio::spawn(run(worker.clone(), family.clone(), job)))
        .collect();
    for job in running {
        job.await??;
    }
    Ok(())
}

async fn run(worker: Worker, family: String, job: u32) -> Result<(), AcquireError> {
    println!("job {job}: downloads");
    tokio::time::sleep(Duration::from_millis(50)).await;

    let slots = worker.concurrency(&*family).acquire().await?;
    println!("job {job}: trains, {:?}", slots.tokens());
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(slots); // given back in the background; the next step needs none

    println!("job {job}: saves");
    Ok(())
}
