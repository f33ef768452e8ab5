//! Prometheus beside us in the same run: the same series by remote write, the same
//! questions. Debian's package is enough.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::loadgen::{Generator, Load, SAMPLES_PER_SERIES};
use super::{Figure, folder, post, questions, server};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running Prometheus, killed when it is dropped.
struct Prometheus {
    child: Child,
    address: String,
    data: PathBuf,
}

/// Sends it the load and asks it what we are asked.
pub(super) fn measure(generator: &Generator, load: &Load) -> Result<Vec<Figure>, String> {
    let peer = Prometheus::start()?;
    let url = format!("http://{}/api/v1/write", peer.address);
    let command = ["remote-write", "--batch", "5000", "--interval", "15s"];
    let sent = generator.send(&command, load, &url, peer.child.id())?;
    let items = sent.number("items")?;
    server::settle(&peer.data);
    let memory = |line| server::memory(peer.child.id(), line);
    let (peak, settled) = (memory("VmHWM:")?, memory("VmRSS:")?);
    let asked = questions::of_metrics(load);
    let times = questions::time(generator, &asked, &peer.address)?;
    let disk = server::weigh(&peer.data) as f64 / items;

    let say = |what: &str, value: f64, unit: &'static str| {
        Figure::new(format!("Prometheus beside · {what}"), value, unit)
    };
    let cpu = sent.number("server_cpu_s")? / items * 1e6;
    let series = items / SAMPLES_PER_SERIES as f64;
    let mut figures = vec![
        say("accepted", sent.number("items_per_s")?, "samples/s"),
        say("CPU per million", cpu, "s"),
        say("on disk per sample, write-ahead log too", disk, "B"),
        say("peak memory", peak / 1e6, "MB"),
        say("memory per active series, settled", settled / series, "B"),
    ];
    figures.extend(asked.iter().zip(times).map(|(asked, ms)| say(asked.name, ms, "ms")));
    Ok(figures)
}

impl Prometheus {
    fn start() -> Result<Prometheus, String> {
        let data = folder()?.join("data-prometheus");
        let _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        let config = data.join("empty.yml");
        std::fs::write(&config, "").map_err(|error| format!("{}: {error}", config.display()))?;
        let address = free_address()?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--query.max-samples=200000000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("cannot start prometheus: {error}; on Debian: apt-get install prometheus")
            })?;
        let peer = Prometheus { child, address, data };
        let begin = Instant::now();
        while post::get(&peer.address, "/-/ready").is_err() {
            if begin.elapsed() > READY_WITHIN {
                return Err("prometheus did not get ready".to_owned());
            }
            server::wait(Duration::from_millis(50));
        }
        Ok(peer)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// An address nobody listens at. Another process could take it before it is used; then
/// Prometheus says so and the run fails.
fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.to_string())
}
