//! Claims at their creation: whose they are, what they may name, which pod they may live as long as.

use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::super::grammar::cases;
use super::super::plane::{Answer, World, create_dry, pod, refusal, world};
use super::{a_slot, claim};

impl World {
    async fn would_claim(&self, spec: Value) -> Answer {
        create_dry(&self.dev(), &self.namespace, &claim("claim", spec)).await
    }
}

#[tokio::test]
async fn the_user_is_who_creates_it() {
    let world = world("user").await;
    let robot = world
        .plane
        .client_for_service_account(&world.namespace, "default")
        .await
        .unwrap();
    world.may_claim("default").await;
    let robots_name = format!("system:serviceaccount:{}:default", world.namespace);
    for (client, name) in [(world.dev(), "dev"), (robot, &robots_name)] {
        for written in [None, Some(""), Some(name)] {
            let mut object = claim("claim", a_slot());
            if let Some(written) = written {
                object["spec"]["user"] = written.into();
            }
            let made = create_dry(&client, &world.namespace, &object)
                .await
                .unwrap();
            assert_eq!(made.data["spec"]["user"], name, "{written:?}");
        }
        let mut forged = claim("claim", a_slot());
        forged["spec"]["user"] = "eve".into();
        let answer = create_dry(&client, &world.namespace, &forged).await;
        let sentence = refusal("claim", answer).unwrap();
        assert!(
            sentence.contains("\"eve\"") && sentence.contains(&format!("\"{name}\"")),
            "{sentence}"
        );
    }
}

#[tokio::test]
async fn the_bad_entry_of_a_claim_is_named() {
    let world = world("entry").await;
    let long = "x".repeat(254);
    let half = "x".repeat(126);
    let limit = |limit: &str| json!({"slots": [{"limit": "db"}, {"limit": limit}]});
    let worker = |limit: &str, name: &str| json!({"slots": [{"limit": limit, "worker": name}]});
    let lock = |lock: &str| json!({"locks": [{"lock": "db"}, {"lock": lock}]});
    for (spec, named) in [
        (limit("gPu"), "spec.slots: limit \"gPu\""),
        (limit("gpu=2"), "spec.slots: limit \"gpu=2\""),
        (limit("gpu, db"), "spec.slots: limit \"gpu, db\""),
        (limit("a\nb"), "spec.slots: limit \"a\\nb\""),
        (limit("gpu--w1"), "spec.slots: limit \"gpu--w1\""),
        (limit("A/gpu"), "spec.slots: limit \"A/gpu\""),
        (limit(&long), "spec.slots: limit \"xxx"),
        (worker("gpu", "W1"), "spec.slots: worker \"W1\""),
        (worker("gpu", "a:b"), "spec.slots: worker \"a:b\""),
        (worker(&half, &half), "spec.slots: worker \"xxx"),
        (lock("Deploy"), "spec.locks: lock \"Deploy\""),
        (lock("schema:shared"), "spec.locks: lock \"schema:shared\""),
        (lock("a/exclusive"), "spec.locks: lock \"a/exclusive\""),
    ] {
        let sentence = refusal("claim", world.would_claim(spec.clone()).await)
            .unwrap_or_else(|error| panic!("{spec}: {error}"));
        assert!(sentence.starts_with(named), "{spec}: {sentence}");
        assert!(sentence.len() < 600, "{sentence}");
    }
    let most = "x".repeat(125);
    for spec in [
        limit("licences/matlab:w-1"),
        limit(&"x".repeat(253)),
        worker("licences/gpu", "worker-1.example"),
        worker(&half, &most),
        lock("infra/schema.v1:a"),
        json!({"slots": vec![json!({"limit": "gpu"}); 64], "locks": vec![json!({"lock": "d"}); 64]}),
    ] {
        world
            .would_claim(spec.clone())
            .await
            .unwrap_or_else(|error| panic!("{spec}: {error}"));
    }
}

/// What is a key in an annotation is one in a claim, and nothing else is.
#[tokio::test]
async fn the_table_of_annotations_holds_for_claims() {
    let world = world("keys").await;
    let (mut wrong, mut judged) = (Vec::new(), 0);
    for case in cases() {
        let (text, mode) = (case.text(), [":shared", ":exclusive"]);
        // How many and how is not in the key here, and a list is a list.
        let plain = !text.contains([',', '=']) && !mode.iter().any(|it| text.ends_with(it));
        let spec = match case.annotation.as_str() {
            "sluice.dev/slots" if plain => json!({"slots": [{"limit": text}]}),
            "sluice.dev/locks" if plain => json!({"locks": [{"lock": text}]}),
            _ => continue,
        };
        if text.trim() != text {
            continue;
        }
        judged += 1;
        let answer = world.would_claim(spec.clone()).await;
        if answer.is_ok() != case.ok.is_some() {
            wrong.push(format!("{spec}: {answer:?}"));
        }
    }
    assert!(judged >= 20, "only {judged} cases were for claims too");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_label_is_the_session() {
    let world = world("session").await;
    let labelled = |label: &str| {
        let mut object = claim("claim", a_slot());
        object["metadata"]["labels"] = json!({"sluice.dev/session": label});
        object
    };
    let answer = create_dry(&world.dev(), &world.namespace, &labelled("t")).await;
    let sentence = refusal("claim", answer).unwrap();
    assert!(
        sentence.starts_with("label sluice.dev/session: \"t\" is not spec.session, \"s\""),
        "{sentence}"
    );
    let dev = world.dev();
    world.create(&dev, &labelled("s")).await.unwrap();
    let relabel = json!({"metadata": {"labels": {"sluice.dev/session": "t"}}});
    refusal("claim", world.edit_claim(&dev, "claim", &relabel).await).unwrap();
    let adopt = json!({"metadata": {"labels": {"sluice.dev/session": "t"}},
        "spec": {"session": "t", "renew": {"seq": 1}}});
    world.edit_claim(&dev, "claim", &adopt).await.unwrap();
    // A label that is not touched is not looked at, nor one that is taken off.
    let swap = json!({"spec": {"session": "u", "renew": {"seq": 2}}});
    world.edit_claim(&dev, "claim", &swap).await.unwrap();
    let off = json!({"metadata": {"labels": null}});
    world.edit_claim(&dev, "claim", &off).await.unwrap();
}

#[tokio::test]
async fn a_claim_lives_as_long_as_the_creators_own_pod_only() {
    let world = world("podref").await;
    world.may_claim("default").await;
    let own = world.create(&world.dev(), &pod("own", json!({}))).await;
    let other = world.create(&world.dev(), &pod("other", json!({}))).await;
    let (own, other) = (own.unwrap(), other.unwrap());
    let reference =
        |pod: &kube::api::DynamicObject| json!({"name": pod.name_any(), "uid": pod.uid().unwrap()});
    let with = |pod_ref: Value| {
        let mut object = claim("claim", a_slot());
        object["spec"]["podRef"] = pod_ref;
        object
    };
    let inside = world
        .plane
        .config_in_pod(&world.namespace, "default", &own)
        .await;
    let inside = Client::try_from(inside.unwrap()).unwrap();
    create_dry(&inside, &world.namespace, &with(reference(&own)))
        .await
        .unwrap();
    let mut renamed = reference(&own);
    renamed["name"] = "other".into();
    for forged in [reference(&other), renamed] {
        let answer = create_dry(&inside, &world.namespace, &with(forged.clone())).await;
        let sentence = refusal("claim", answer).unwrap_or_else(|error| panic!("{forged}: {error}"));
        assert!(
            sentence.contains("comes from pod \"own\"")
                && sentence.contains("renew the claim within its lease"),
            "{sentence}"
        );
    }
    let answer = create_dry(&world.dev(), &world.namespace, &with(reference(&own))).await;
    let sentence = refusal("claim", answer).unwrap();
    assert!(sentence.contains("no token of a pod"), "{sentence}");
    // Nor does a pod's word come from a token that is bound to nothing.
    let unbound = world
        .plane
        .client_for_service_account(&world.namespace, "default")
        .await
        .unwrap();
    refusal(
        "claim",
        create_dry(&unbound, &world.namespace, &with(reference(&own))).await,
    )
    .unwrap();
}
