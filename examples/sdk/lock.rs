//! Locks by key and holder, with the calls of Prefect's lock managers.
//!
//! ```sh
//! kubectl apply -f examples/limits.yaml        # has the lock deploy
//! cargo run --example lock                     # or: -- LOCK
//! ```
//!
//! Where a guard and a fencing token are wanted, `client.request().lock("deploy")` is simpler: see `async.rs`.

use std::time::Duration;

use sluice::client::{Client, LockError, LockManager};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = std::env::args().nth(1);
    let key = key.unwrap_or_else(|| "deploy".to_owned());
    let client = Client::try_default().await?;
    let _drain = client.drain_guard(Duration::from_secs(10));

    // Code that takes any lock manager takes this one.
    let locks: Box<dyn LockManager> = Box::new(client.lock_manager());
    let patience = Some(Duration::from_secs(60));
    if !locks.acquire(&key, "run-7", patience, None).await? {
        println!("{key} was not free within a minute");
        return Ok(());
    }
    println!(
        "run-7 has {key}: {}",
        locks.is_lock_holder(&key, "run-7").await?
    );

    // Zero tries once; a timeout is an answer, and no error.
    let second = locks
        .acquire(&key, "run-8", Some(Duration::ZERO), None)
        .await?;
    println!("run-8 has it: {second}");

    // What is another's stays another's.
    match locks.release(&key, "run-8").await {
        Err(LockError::NotHolder { .. }) => println!("run-8 released nothing"),
        Err(error) => return Err(error.into()),
        Ok(()) => return Err("a stranger has released the lock".into()),
    }
    locks.release(&key, "run-7").await?;

    // Waits for others and takes nothing.
    println!("free: {}", locks.wait_for(&key, patience).await?);
    Ok(())
}
