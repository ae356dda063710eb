//! The whole SDK inside one process: no cluster, no API server, the same ledger.
//!
//! ```sh
//! cargo run --example embedded --no-default-features --features embedded
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice::client::{Client, Limits};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::embedded(
        Limits::new()
            .slots("gpu", 2)
            .rate("api", 5, Duration::from_secs(1))
            .lock("deploy"),
    )?;

    // Ten tasks, two at a time.
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (client, now, most) = (client.clone(), Arc::clone(&now), Arc::clone(&most));
            tokio::spawn(async move {
                let slots = client.concurrency("gpu").acquire().await?;
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                drop(slots);
                Ok::<_, sluice::client::AcquireError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    println!("at most {} at once", most.load(Ordering::SeqCst));

    // Whoever asks in between is told at once.
    let held = client.request().lock("deploy").acquire().await?;
    match client.request().lock("deploy").try_acquire().await {
        Ok(_) => println!("nobody holds the lock"),
        Err(error) => println!("{error}"),
    }
    held.release().await?;
    client.rate_limit("api").occupy(5).acquire().await?;

    let report = client.close(Duration::from_secs(5)).await;
    println!("clean end: {}", report.is_clean());
    Ok(())
}
