//! Programs of others that judge the switch: made by a `prepare` script, run within a time.
//!
//! Where one cannot be made its test says so and is skipped. What a judge finds it prints, as a
//! line of JSON each.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use load_tests::process::Scratch;
use serde_json::Value;
use tokio::time::Instant;

use crate::world::Kept;

/// Longer than the scripts give a package registry.
const PREPARE_TIME: Duration = Duration::from_secs(150);
/// Longer than a script waits for the switch.
const JUDGE_TIME: Duration = Duration::from_secs(40);

/// A language of judges, with where its packages are.
#[derive(Debug)]
pub(crate) enum Judges {
    /// The interpreter of the folder.
    Python(PathBuf),
    /// The folder for `NODE_PATH`.
    Node(PathBuf),
}

impl Judges {
    pub(crate) async fn python() -> Option<Self> {
        Some(Self::Python(prepared("judges/prepare", &["python"]).await?))
    }

    pub(crate) async fn node() -> Option<Self> {
        Some(Self::Node(prepared("judges/prepare", &["npm"]).await?))
    }

    /// Runs `load-tests/judges/<name>.py` or `.js` with a file of what it is asked; its findings.
    pub(crate) async fn ask(&self, scratch: &Scratch, name: &str, asked: &Value) -> Vec<Value> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("judges");
        let mut command = match self {
            Self::Python(interpreter) => {
                let mut command = Command::new(interpreter);
                command.arg(folder.join(format!("{name}.py")));
                command
            }
            Self::Node(packages) => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", packages).arg(folder.join(format!("{name}.js")));
                command
            }
        };
        let file = |kind: &str| scratch.file(&format!("{name}.{kind}"));
        let read = |kind: &str| fs::read_to_string(file(kind)).unwrap_or_default();
        fs::write(file("asked"), asked.to_string()).expect("a file");
        let child = command
            .arg(file("asked"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(File::create(file("said")).expect("a file"))
            .stderr(File::create(file("errors")).expect("a file"))
            .spawn();
        let mut child = Kept(child.expect("it starts"));
        let succeeded = ended(&mut child, JUDGE_TIME).await;
        let (said, errors) = (read("said"), read("errors"));
        assert_eq!(succeeded, Some(true), "{self:?} {name}: {said}{errors}");
        let finding = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        said.lines().map(finding).collect()
    }
}

/// What a script below `load-tests` prints when it has made its program, if it can be made.
pub(crate) async fn prepared(script: &str, words: &[&str]) -> Option<PathBuf> {
    let child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = Kept(child.ok()?);
    let made = ended(&mut child, PREPARE_TIME).await == Some(true);
    if !made {
        println!("skipped: load-tests/{script} {words:?} made no program");
        return None;
    }
    let path = std::io::read_to_string(child.0.stdout.take()?).ok()?;
    Some(PathBuf::from(path.trim()))
}

/// Whether a child succeeded; `None`: it still runs after that time.
pub(crate) async fn ended(child: &mut Kept, patience: Duration) -> Option<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if let Ok(Some(status)) = child.0.try_wait() {
            return Some(status.success());
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // between two looks, not for a result
    }
}
