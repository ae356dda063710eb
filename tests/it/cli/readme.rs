//! Temporary: prints what the README shows.
use crate::support::World;

#[tokio::test]
async fn readme_output() {
    let world = World::new("team").await;
    world.limit("gpu", 3).await;
    world.lock("deploy").await;
    for i in 0..7 {
        let name = format!("render-{i}");
        let pod = world.pod(&name).slots("gpu");
        pod.create().await;
        if i < 3 {
            world.running(&name).await;
        }
    }
    world
        .pod("train-0")
        .slots("gpu=2")
        .locks("deploy")
        .create()
        .await;
    world.pod("typo").slots("gpu, licence").create().await;
    world.waiting("gpu", 6).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    for arguments in [
        &["limits"][..],
        &["get", "gpu"],
        &["holders", "gpu"],
        &["queue", "gpu"],
        &["why", "render-5"],
        &["why", "typo"],
        &["why", "render-0"],
        &["why", "train-0"],
        &["pause", "gpu"],
        &["queue", "gpu"],
        &["resume", "gpu"],
        &["set", "slots", "gpu", "2"],
        &["holders", "gpu", "-o", "yaml"],
        &[
            "release",
            "gpu",
            "--holder",
            "render-0",
            "--force",
            "--reason",
            "node burnt down",
        ],
    ] {
        let output = world
            .sluice_command(&[arguments, &["-n", world.namespace()]].concat())
            .output()
            .unwrap();
        println!(
            "$ sluice {}\n{}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
