//! Visitors: they log in, order exports, run machines, keep artifacts, and sometimes err.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::http::Visitor;
use crate::service::{Peers, Stop};

/// Visits at the same time; when the services are slower than that, visitors stay away.
const AT_ONCE: usize = 64;

const USERS: &[(&str, &str)] =
    &[("alice", "acme"), ("bob", "acme"), ("carol", "globex"), ("dave", "initech")];
const MACHINES: &[&str] = &[
    "test-vm", "web-01", "web-02", "db-01", "db-02", "cache-01", "build-01", "mail-01", "ci-01",
    "ci-02", "edge-01", "edge-02",
];
/// vSphere is where most machines are.
const PROVIDERS: &[&str] = &["vsphere", "vsphere", "vsphere", "aws", "hyperv", "proxmox"];

/// The load.
pub(crate) struct Visitors {
    visit: Arc<Visit>,
    dice: Dice,
    rate: f64,
}

struct Visit {
    peers: Peers,
    visitor: Visitor,
}

impl Visitors {
    pub(crate) fn new(peers: Peers, seed: u64, rate: f64) -> Visitors {
        let visit = Arc::new(Visit { peers, visitor: Visitor::new() });
        Visitors { visit, dice: Dice::new(seed), rate }
    }

    /// Sends visitors at random moments, so many a second on average, until the fleet stops.
    pub(crate) async fn run(self, mut stop: Stop) {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut visits = JoinSet::new();
        let mut number = 0u64;
        loop {
            let gap = -(1.0 - self.dice.fraction()).ln() / self.rate;
            // A rate near zero must not become a wait that no clock can count.
            if !stop.pause(Duration::from_secs_f64(gap.min(3600.0))).await {
                break;
            }
            let seed = self.dice.next();
            if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
                let visit = Arc::clone(&self.visit);
                visits.spawn(async move {
                    visit.run(number, &Dice::new(seed)).await;
                    drop(permit);
                });
            }
            number += 1;
            while visits.try_join_next().is_some() {}
        }
        visits.abort_all();
    }
}

impl Visit {
    /// One visit. What comes back does not matter: the services tell it themselves.
    async fn run(&self, number: u64, dice: &Dice) {
        let &(user, tenant) = dice.pick(USERS);
        let machine = dice.pick(MACHINES);
        // The first visits go everywhere once, so that a fresh start shows everything.
        let turn = if number < 8 { number * 12 + 5 } else { dice.below(100) };
        match turn {
            0..25 => self.export(user, machine, dice).await,
            25..45 => self.look_around(user, tenant, dice).await,
            45..60 => self.keep(user, tenant, dice).await,
            60..95 => self.lifecycle(machine, dice).await,
            _ => self.newcomer(tenant, dice).await,
        }
    }

    async fn export(&self, user: &str, machine: &str, dice: &Dice) {
        let mut order =
            json!({ "user": user, "vm_name": machine, "provider": dice.pick(PROVIDERS) });
        if dice.percent(2.0) {
            order["vm_name"] = Value::Null;
        }
        let answer = self.hypersdk(Method::POST, "/api/v1/export", &order).await;
        tokio::time::sleep(dice.latency(300.0)).await;
        let job = answer["job_id"].as_i64().unwrap_or_default();
        self.hypersdk(Method::GET, &format!("/api/v1/jobs/{job}"), &Value::Null).await;
    }

    async fn look_around(&self, user: &str, tenant: &str, dice: &Dice) {
        let password = if dice.percent(8.0) { "wrong" } else { "correct horse" };
        let login = json!({ "user": user, "password": password });
        let answer = self.ghostworks(Method::POST, "/auth/login", &login).await;
        if answer["token"].is_string() {
            let list = format!("/artifacts?tenant={tenant}&user={user}");
            self.ghostworks(Method::GET, &list, &Value::Null).await;
            self.ghostworks(Method::POST, "/auth/refresh", &login).await;
        }
    }

    async fn keep(&self, user: &str, tenant: &str, dice: &Dice) {
        let kind = dice.pick(&["document", "report", "dataset"]);
        let mut artifact = json!({ "tenant": tenant, "user": user, "type": kind, "name": "draft" });
        let answer = self.ghostworks(Method::POST, "/artifacts", &artifact).await;
        let id = answer["id"].as_i64().unwrap_or_default();
        artifact["name"] = "final".into();
        self.ghostworks(Method::PUT, &format!("/artifacts/{id}"), &artifact).await;
        if dice.percent(60.0) {
            // Now and then somebody else was faster.
            let id = if dice.percent(10.0) { -1 } else { id };
            let path = format!("/artifacts/{id}?tenant={tenant}&user={user}");
            self.ghostworks(Method::DELETE, &path, &Value::Null).await;
        }
    }

    async fn lifecycle(&self, machine: &str, dice: &Dice) {
        let mut steps = vec!["create", "boot", "exec"];
        match dice.below(3) {
            0 => steps.extend(["snapshot", "restore"]),
            1 => steps.extend(["shutdown", "delete"]),
            _ => {}
        }
        for step in steps {
            let path = format!("/vms/{machine}/{step}");
            let address = self.peers.of("metald");
            if self.visitor.visit(Method::POST, address, &path, &Value::Null).await.is_err() {
                return;
            }
            tokio::time::sleep(dice.latency(20.0)).await;
        }
    }

    async fn newcomer(&self, tenant: &str, dice: &Dice) {
        let user = format!("guest-{}", dice.below(200));
        let register = json!({ "user": user, "tenant": tenant });
        self.ghostworks(Method::POST, "/auth/register", &register).await;
    }

    async fn hypersdk(&self, method: Method, path: &str, body: &Value) -> Value {
        self.visitor.visit(method, self.peers.of("hypersdk"), path, body).await.unwrap_or_default()
    }

    async fn ghostworks(&self, method: Method, path: &str, body: &Value) -> Value {
        self.visitor
            .visit(method, self.peers.of("ghostworks"), path, body)
            .await
            .unwrap_or_default()
    }
}
