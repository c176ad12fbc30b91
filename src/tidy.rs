//! The house rules as tests: arrows between folders, words that do not belong, pages that must be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::refusal::Code;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files of the workspace.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                walk(&path, found);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

fn inside(path: &Path, folder: &str) -> bool {
    path.strip_prefix(root()).unwrap().starts_with(folder)
}

/// The workspace crates and others that a manifest names outside its tests.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = read(&root().join(manifest));
    let mut names = BTreeSet::new();
    let mut wanted = false;
    for line in text.lines() {
        if line.starts_with('[') {
            wanted = line == "[dependencies]";
        } else if wanted && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            names.insert(name.to_owned());
        }
    }
    names
}

/// What no protocol knows.
const OUTSIDE_PROTOCOLS: [&str; 9] =
    ["model", "store", "actors", "supervisors", "orbit", "tokio", "ractor", "sqlx", "axum"];

#[test]
fn arrows_point_one_way() {
    let forbidden = [
        ("actors/model/Cargo.toml", &["store", "actors", "supervisors", "orbit", "proto-smpp"][..]),
        ("actors/store/Cargo.toml", &["actors", "supervisors", "orbit", "proto-smpp"]),
        ("actors/Cargo.toml", &["supervisors", "orbit", "axum", "sqlx"]),
        ("supervisors/Cargo.toml", &["orbit", "axum", "sqlx"]),
        ("protocols/media/Cargo.toml", &OUTSIDE_PROTOCOLS),
        ("protocols/sip/Cargo.toml", &OUTSIDE_PROTOCOLS),
        ("protocols/smpp/Cargo.toml", &OUTSIDE_PROTOCOLS),
        ("Cargo.toml", &["sqlx"]),
    ];
    for (manifest, names) in forbidden {
        let known = dependencies(manifest);
        assert!(!known.is_empty(), "{manifest} names nothing");
        for name in names {
            assert!(!known.contains(*name), "{manifest} must not name {name}");
        }
    }
}

#[test]
fn the_simulator_speaks_smpp_by_itself() {
    let codec = concat!("proto", "_smpp");
    let simulator = sources().into_iter().filter(|(path, _)| inside(path, "src/simulate"));
    let mut files = 0;
    for (path, text) in simulator {
        files += 1;
        assert!(!text.contains(codec), "{} shares the switch's mistakes", path.display());
    }
    assert!(files > 10, "the simulator is elsewhere");
}

#[test]
fn columns_stay_in_the_store() {
    for (path, text) in sources() {
        if inside(&path, "actors/store") || path.ends_with("tidy.rs") {
            continue;
        }
        assert!(!text.contains(concat!("sqlx", "::")), "{} names sqlx", path.display());
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} has no head comment", path.display());
    }
}

#[test]
fn no_work_is_left_behind_in_words() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    for (path, text) in sources() {
        for word in words {
            assert!(!text.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn tests_wait_for_facts_and_not_for_time() {
    let sleep = concat!("sle", "ep(");
    for (path, text) in sources() {
        let name = path.display().to_string();
        let tests = name.contains("/tests/") || name.ends_with("/tests.rs");
        if tests {
            for line in text.lines().filter(|line| line.contains(sleep)) {
                assert!(line.contains("// "), "{name} waits without saying why: {line}");
            }
        }
    }
}

#[test]
fn files_stay_short_enough_to_proofread() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: is a room missing?", path.display());
    }
}

#[test]
fn every_code_has_its_page() {
    for code in Code::ALL {
        let page = root().join(format!("docs/errors/{}.md", code.as_str()));
        let text = read(&page);
        assert!(text.contains(code.as_str()), "{} does not name its code", page.display());
    }
    let pages = fs::read_dir(root().join("docs/errors")).unwrap().count();
    assert_eq!(pages, Code::ALL.len(), "a page without a code");
}

#[test]
fn no_two_shapes_of_the_api_have_one_name() {
    // The document knows shapes by their names: the second would stand in the place of the first.
    let mut known = BTreeSet::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| inside(path, "src/api")) {
        let mut derived = false;
        for line in text.lines() {
            derived |= line.starts_with("#[derive(") && line.contains("ToSchema");
            let mut words = line.split([' ', '<', '(', ';']);
            if words.any(|word| word == "struct" || word == "enum") && std::mem::take(&mut derived)
            {
                let name = words.next().unwrap_or_default().to_owned();
                let place = path.display();
                assert!(known.insert(name.clone()), "{place}: {name} is the name of another one");
            }
        }
    }
    assert!(known.len() > 100, "{}", known.len());
}
