//! Writes histories by hand, for the tests of the checker: right ones by default, wrong ones by the step a test leaves
//! out or does twice. Knows the protocol well enough to keep it, and judges nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::recorder::Scope;
use super::request::Amount;
use super::version::{History, Kind, ObjectRef};

/// Namespace of everything a script makes.
pub(super) const NAMESPACE: &str = "ns";
/// When the clock of a script begins, in seconds since 1970.
pub(super) const START_SECONDS: i64 = 1_800_000_000;
pub(super) const ONE: Amount = Amount::Slots(1);

pub(super) fn limit(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Limit, NAMESPACE, name)
}

pub(super) fn lock(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Lock, NAMESPACE, name)
}

pub(super) fn pod(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Pod, NAMESPACE, name)
}

pub(super) fn claim(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Claim, NAMESPACE, name)
}

pub(super) fn node(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Node, "", name)
}

/// A history in the making.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) revision: i64,
    writes: Vec<(i64, ObjectRef, Option<Value>)>,
    objects: BTreeMap<ObjectRef, Value>,
    made: usize,
    batches: usize,
    pub(super) token: i64,
    /// What the server's clock says, in seconds since the start; 0: writes are not stamped.
    pub(super) seconds: i64,
}

impl Script {
    /// An empty cluster with a node.
    pub(super) fn new() -> Self {
        let mut script = Self {
            token: 100,
            ..Self::default()
        };
        script.create(node("node-1"), json!({}));
        script
    }

    pub(super) fn history(&self) -> History {
        History::from_writes(
            Scope::namespace(NAMESPACE),
            self.revision,
            self.writes.clone(),
        )
    }

    // === any object ===

    /// An object as it is now.
    pub(super) fn object(&self, place: &ObjectRef) -> &Value {
        &self.objects[place]
    }

    /// Creates an object with a uid of its own.
    pub(super) fn create(&mut self, place: ObjectRef, mut object: Value) {
        self.made += 1;
        let metadata = object
            .as_object_mut()
            .unwrap()
            .entry("metadata")
            .or_insert_with(|| json!({}));
        metadata["uid"] = json!(format!("{}-{}", place.name, self.made));
        metadata["creationTimestamp"] = json!(format!("2026-11-21T10:00:{:02}Z", self.made));
        self.write(place, Some(object));
    }

    /// Writes a changed version of an object.
    pub(super) fn edit(&mut self, place: &ObjectRef, change: impl FnOnce(&mut Value)) {
        let mut object = self.objects[place].clone();
        change(&mut object);
        self.write(place.clone(), Some(object));
    }

    pub(super) fn delete(&mut self, place: &ObjectRef) {
        self.write(place.clone(), None);
    }

    pub(super) fn uid(&self, place: &ObjectRef) -> String {
        self.objects[place]["metadata"]["uid"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Sets an annotation.
    pub(super) fn annotate(&mut self, place: &ObjectRef, key: &str, value: &str) {
        self.edit(place, |object| set(object, key, value));
    }

    /// From now on writes are stamped with this second since the start.
    pub(super) fn at(&mut self, seconds: i64) {
        self.seconds = seconds;
    }

    fn write(&mut self, place: ObjectRef, mut object: Option<Value>) {
        self.revision += 1;
        if let (Some(object), 1..) = (&mut object, self.seconds) {
            let time = jiff::Timestamp::from_second(START_SECONDS + self.seconds).unwrap();
            object["metadata"]["managedFields"] = json!([{"time": time.to_string()}]);
        }
        match &object {
            Some(object) => self.objects.insert(place.clone(), object.clone()),
            None => self.objects.remove(&place),
        };
        self.writes.push((self.revision, place, object));
    }

    // === limits and locks ===

    /// Creates a limit and ends its fence.
    pub(super) fn limit(&mut self, name: &str, slots: i64) {
        self.create(limit(name), json!({"spec": {"slots": slots}}));
        self.fence(&limit(name));
    }

    /// Creates a lock and ends its fence.
    pub(super) fn lock(&mut self, name: &str) {
        self.create(lock(name), json!({"spec": {}}));
        self.fence(&lock(name));
    }

    /// Writes the floor, then adopts nobody.
    pub(super) fn fence(&mut self, place: &ObjectRef) {
        self.floor(place);
        self.status(place, |status| status["fenced"] = json!(true));
    }

    /// Writes the token floor of a new incarnation.
    pub(super) fn floor(&mut self, place: &ObjectRef) {
        let token = self.token;
        self.status(place, |status| {
            status["lastToken"] = json!(token);
            status["fenced"] = json!(false);
        });
    }

    /// Writes a changed status under the next batch.
    pub(super) fn status(&mut self, place: &ObjectRef, change: impl FnOnce(&mut Value)) {
        self.batches += 1;
        let batch = format!("b{}", self.batches);
        self.edit(place, |object| {
            let status = object
                .as_object_mut()
                .unwrap()
                .entry("status")
                .or_insert_with(|| json!({}));
            let before = status.get("batch").cloned().unwrap_or(json!(""));
            status["previousBatch"] = before;
            status["batch"] = json!(batch);
            change(status);
        });
    }

    pub(super) fn set_slots(&mut self, name: &str, slots: i64) {
        self.edit(&limit(name), |object| {
            object["spec"]["slots"] = json!(slots)
        });
    }

    pub(super) fn set_mode(&mut self, name: &str, mode: &str) {
        self.edit(&limit(name), |object| object["spec"]["mode"] = json!(mode));
    }

    /// The lease a pod would get now, with the next token.
    pub(super) fn new_lease(&mut self, holder: &str, amount: Amount) -> Value {
        self.token += 1;
        let Some(object) = self.objects.get(&pod(holder)) else {
            return self.new_claim_lease(holder, amount);
        };
        let attempt =
            annotation(object, "sluice.dev/attempt").map_or(0, |text| text.parse().unwrap());
        let mut lease = json!({
            "uid": object["metadata"]["uid"], "kind": "Pod", "name": holder,
            "token": self.token, "attempt": attempt,
        });
        put_amount(&mut lease, amount);
        lease
    }

    /// Writes a lease.
    pub(super) fn lease(&mut self, place: &ObjectRef, holder: &str, amount: Amount) {
        let lease = self.new_lease(holder, amount);
        self.status(place, |status| add_lease(status, lease));
    }

    /// Writes the end of a fence that finds these holders, by their records: into `leases` or `adopted`.
    pub(super) fn adopt(&mut self, place: &ObjectRef, list: &str, holders: &[&str]) {
        let entries: Vec<Value> = holders
            .iter()
            .map(|holder| self.recorded(place, holder))
            .collect();
        self.status(place, |status| {
            status[list] = json!(entries);
            status["fenced"] = json!(true);
            status["open"] = json!(false);
        });
    }

    /// The entry that a holder's record speaks of.
    pub(super) fn recorded(&self, place: &ObjectRef, holder: &str) -> Value {
        let object = &self.objects[&pod(holder)];
        let record: Value =
            serde_json::from_str(annotation(object, "sluice.dev/granted").unwrap()).unwrap();
        let key = place.name.replace("--", ":");
        let leases = record["leases"].as_array().unwrap();
        let lease = leases
            .iter()
            .find(|lease| lease["key"] == json!(key))
            .unwrap();
        let mut entry = json!({
            "uid": object["metadata"]["uid"], "kind": "Pod", "name": holder,
            "token": lease["token"], "attempt": record["attempt"],
        });
        for field in ["slots", "mode"] {
            if let Some(value) = lease.get(field) {
                entry[field] = value.clone();
            }
        }
        entry
    }

    /// Takes a holder out of both lists.
    pub(super) fn release(&mut self, place: &ObjectRef, holder: &str) {
        self.status(place, |status| drop_entry(status, holder));
    }

    // === pods ===

    /// Creates a gated pod that asks for slots.
    pub(super) fn pod(&mut self, name: &str, slots: &str) {
        self.pod_with(name, &[("sluice.dev/slots", slots)], |_| {});
    }

    /// Creates a gated pod with these annotations.
    pub(super) fn pod_with(
        &mut self,
        name: &str,
        annotations: &[(&str, &str)],
        change: impl FnOnce(&mut Value),
    ) {
        let mut object = json!({
            "metadata": {"annotations": {}},
            "spec": {"containers": [{"name": "main"}], "schedulingGates": [{"name": "sluice.dev/slots"}]},
            "status": {"phase": "Pending"},
        });
        for (key, value) in annotations {
            set(&mut object, key, value);
        }
        change(&mut object);
        self.create(pod(name), object);
    }

    /// The record of a grant, from the leases a pod has now.
    pub(super) fn record(&self, holder: &str, places: &[ObjectRef]) -> Value {
        let object = &self.objects[&pod(holder)];
        let attempt = annotation(object, "sluice.dev/attempt").unwrap_or("0");
        let leases: Vec<Value> = places
            .iter()
            .map(|place| self.recorded_lease(holder, place))
            .collect();
        json!({"attempt": attempt.parse::<u64>().unwrap(), "leases": leases})
    }

    fn recorded_lease(&self, holder: &str, place: &ObjectRef) -> Value {
        let pool = &self.objects[place];
        let uid = self.uid(&pod(holder));
        let leases = pool["status"]["leases"].as_array().unwrap();
        let entry = leases
            .iter()
            .find(|lease| lease["uid"] == json!(uid))
            .unwrap();
        let kind = if place.kind == Kind::Limit {
            "ConcurrencyLimit"
        } else {
            "Lock"
        };
        let mut lease = json!({
            "kind": kind, "namespace": place.namespace, "key": place.name.replace("--", ":"),
            "uid": pool["metadata"]["uid"], "token": entry["token"],
        });
        for field in ["slots", "mode"] {
            if let Some(value) = entry.get(field) {
                lease[field] = value.clone();
            }
        }
        lease
    }

    /// Reveals a pod with the leases it has there.
    pub(super) fn reveal(&mut self, holder: &str, places: &[ObjectRef]) {
        let record = self.record(holder, places);
        self.reveal_with(holder, &record);
    }

    /// Reveals a pod with this record.
    pub(super) fn reveal_with(&mut self, holder: &str, record: &Value) {
        self.edit(&pod(holder), |object| {
            set(object, "sluice.dev/granted", &record.to_string());
            open_gate(object);
        });
    }

    /// Removes our gate and nothing else.
    pub(super) fn open_gate(&mut self, holder: &str) {
        self.edit(&pod(holder), open_gate);
    }

    /// Raises a pod's attempt.
    pub(super) fn bump(&mut self, holder: &str) {
        self.edit(&pod(holder), |object| {
            let attempt = annotation(object, "sluice.dev/attempt").unwrap_or("0");
            let next = attempt.parse::<u64>().unwrap() + 1;
            set(object, "sluice.dev/attempt", &next.to_string());
        });
    }

    /// Creates a pod, writes its lease of one slot, reveals it.
    pub(super) fn holder(&mut self, name: &str, key: &str) {
        self.pod(name, key);
        self.lease(&limit(key), name, ONE);
        self.reveal(name, &[limit(key)]);
    }

    /// Lets a pod run on node-1.
    pub(super) fn run(&mut self, holder: &str) {
        self.edit(&pod(holder), |object| {
            object["spec"]["nodeName"] = json!("node-1");
            object["status"] =
                json!({"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]});
        });
    }

    /// Ends a pod as a kubelet does.
    pub(super) fn finish(&mut self, holder: &str) {
        self.edit(&pod(holder), |object| {
            object["status"] =
                json!({"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]});
        });
    }

    /// Ends a pod as the garbage collector does: Failed, its container still said to run.
    pub(super) fn fail_unproven(&mut self, holder: &str) {
        self.edit(&pod(holder), |object| {
            object["status"]["phase"] = json!("Failed")
        });
    }
}

pub(super) fn add_lease(status: &mut Value, lease: Value) {
    let token = lease["token"].as_i64().unwrap();
    let last = status.get("lastToken").and_then(Value::as_i64).unwrap_or(0);
    status["lastToken"] = json!(token.max(last));
    let fields: &mut Map<String, Value> = status.as_object_mut().unwrap();
    fields
        .entry("leases")
        .or_insert_with(|| json!([]))
        .as_array_mut()
        .unwrap()
        .push(lease);
}

pub(super) fn drop_entry(status: &mut Value, holder: &str) {
    for list in ["leases", "adopted"] {
        if let Some(entries) = status.get_mut(list).and_then(Value::as_array_mut) {
            entries.retain(|entry| entry["name"] != json!(holder));
        }
    }
}

/// The entry of a holder, for changing it.
pub(super) fn entry<'a>(status: &'a mut Value, list: &str, holder: &str) -> &'a mut Value {
    let entries = status[list].as_array_mut().unwrap();
    entries
        .iter_mut()
        .find(|entry| entry["name"] == json!(holder))
        .unwrap()
}

pub(super) fn set(object: &mut Value, key: &str, value: &str) {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.entry("annotations").or_insert_with(|| json!({}))[key] = json!(value);
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"].get("annotations")?.get(key)?.as_str()
}

fn open_gate(object: &mut Value) {
    object["spec"]["schedulingGates"] = json!([]);
}

pub(super) fn put_amount(lease: &mut Value, amount: Amount) {
    match amount {
        Amount::Slots(slots) => lease["slots"] = json!(slots),
        Amount::Shared => lease["mode"] = json!("Shared"),
        Amount::Exclusive => lease["mode"] = json!("Exclusive"),
    }
}
