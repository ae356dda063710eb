//! Slots and a lock for an async program: acquire, work with a fencing token, give back.
//!
//! ```sh
//! kubectl apply -f examples/limits.yaml        # the limit gpu, the lock deploy
//! cargo run --example async                    # or: -- LIMIT LOCK
//! ```

use std::time::Duration;

use sluice::client::{Client, Slots};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let limit = arguments.next().unwrap_or_else(|| "gpu".to_owned());
    let lock = arguments.next().unwrap_or_else(|| "deploy".to_owned());

    // The same server and namespace as kubectl, or the pod that this runs in.
    let client = Client::try_default().await?;
    // Declared first and dropped last: whatever is still on its way back when `main` ends is waited for.
    let _drain = client.drain_guard(Duration::from_secs(10));

    // All of it or nothing, in one queue with pods.
    let slots = client
        .request()
        .slots(&limit, 2)
        .lock(&lock)
        .timeout(Duration::from_secs(60))
        .acquire()
        .await?;
    println!("holds {:?}", slots.tokens());
    for step in 1..=3 {
        work(&slots, &lock, step).await?;
    }
    slots.release().await?;
    println!("released");

    // The same around a body, which is cancelled when the slots are lost.
    let answer = client
        .concurrency(&*limit)
        .timeout(Duration::from_secs(60))
        .run(async |slots| -> Result<_, std::io::Error> {
            println!("body holds {:?}", slots.token(&limit));
            Ok(42)
        })
        .await?;
    println!("body returned {answer}");
    Ok(())
}

/// A step that must not be done without the slots.
async fn work(slots: &Slots, lock: &str, step: u32) -> Result<(), Box<dyn std::error::Error>> {
    // Reads the clock and asks nobody. Between this and a write the process may be stopped for an hour, so the write
    // carries the token, and whatever it changes refuses a token below the highest that it has seen.
    slots.check()?;
    println!("step {step}, fenced by {:?}", slots.token(lock));
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}
