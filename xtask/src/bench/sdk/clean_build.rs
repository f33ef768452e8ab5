//! What a dependency costs before a service runs: a clean release build of a minimal one.

use std::path::Path;
use std::time::Instant;

use super::super::{Figure, folder};
use crate::workspace;

/// A service, and what is added to it.
struct Service {
    name: &'static str,
    dependencies: &'static str,
    /// Its versions are those of this lock file.
    lock: &'static str,
}

const BARE: Service = Service { name: "axum", dependencies: "", lock: "Cargo.lock" };

const ADDED: &[Service] = &[
    Service {
        name: "trefoil",
        dependencies: r#"trefoil = { path = "ROOT/crates/trefoil", features = ["axum"] }"#,
        lock: "Cargo.lock",
    },
    Service {
        name: "trefoil without TLS",
        dependencies: r#"trefoil = { path = "ROOT/crates/trefoil", default-features = false, features = ["axum"] }"#,
        lock: "Cargo.lock",
    },
    Service {
        name: "the stock stack without TLS",
        dependencies: STOCK,
        lock: "bench/sdk/Cargo.lock",
    },
];

/// What gives a service the same: three signals over OTLP, server spans, server metrics, a console.
const STOCK: &str = r#"axum-tracing-opentelemetry = "0.42"
opentelemetry = "0.33"
opentelemetry-appender-tracing = "0.33"
opentelemetry-instrumentation-tower = { version = "0.19", features = ["axum"] }
opentelemetry-otlp = "0.33"
opentelemetry_sdk = "0.33"
tracing-opentelemetry = "0.34"
tracing-subscriber = "0.3"
"#;

const MANIFEST: &str = r#"[package]
name = "minimal"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
axum = "0.8"
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
DEPENDENCIES
"#;

/// Prints what axum alone takes, and what each dependency adds to it.
pub(super) fn run(figures: &mut Vec<Figure>) -> Result<(), String> {
    println!("\na clean release build, s");
    let bare = seconds(&BARE)?;
    println!("{:<48} {bare:>9.1}", BARE.name);
    figures.push(Figure::new(format!("clean build · {}", BARE.name), bare, "s"));
    for service in ADDED {
        let added = seconds(service)? - bare;
        println!("{:<48} {added:>9.1}", format!("added by {}", service.name));
        figures.push(Figure::new(format!("clean build · added by {}", service.name), added, "s"));
    }
    Ok(())
}

fn seconds(service: &Service) -> Result<f64, String> {
    let project = folder()?.join("clean-build");
    write(service, &project).map_err(|error| format!("{}: {error}", project.display()))?;
    let cargo = |arguments: &[&str]| {
        let mut command = workspace::cargo();
        command.args(arguments).current_dir(&project);
        command.env("CARGO_TARGET_DIR", project.join("target"));
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(format!("axum with {} does not compile", service.name)),
            Err(error) => Err(error.to_string()),
        }
    };
    cargo(&["fetch", "--quiet"])?;
    let start = Instant::now();
    cargo(&["build", "--quiet", "--release"])?;
    Ok(start.elapsed().as_secs_f64())
}

fn write(service: &Service, project: &Path) -> std::io::Result<()> {
    if project.exists() {
        std::fs::remove_dir_all(project)?;
    }
    std::fs::create_dir_all(project.join("src"))?;
    let root = workspace::root();
    let manifest = MANIFEST.replace("DEPENDENCIES", service.dependencies);
    let manifest = manifest.replace("ROOT", &root.display().to_string());
    std::fs::write(project.join("Cargo.toml"), manifest)?;
    std::fs::write(project.join("src/main.rs"), "fn main() {}\n")?;
    std::fs::copy(root.join(service.lock), project.join("Cargo.lock"))?;
    Ok(())
}
