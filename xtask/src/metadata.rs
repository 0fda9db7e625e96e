//! The part of `cargo metadata` that the chores need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The only platform that anything is built for.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Packages, and (unless left out) the resolved graph between them.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package, of the workspace and from outside.
    pub packages: Vec<Package>,
    /// Ids of the workspace's own packages.
    pub workspace_members: Vec<String>,
    resolve: Option<Resolve>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Cargo's id for it.
    pub id: String,
    /// Absolute path of its Cargo.toml.
    pub manifest_path: PathBuf,
    /// Where it comes from; `None` for a path.
    pub source: Option<String>,
    /// As written in its manifest.
    pub dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

impl Package {
    /// Whether it has a target of this kind (`lib`, `bin`, `proc-macro` and so on).
    #[must_use]
    pub fn has(&self, kind: &str) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|own| own == kind))
    }
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

/// One dependency, as written in a manifest.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// Name of the package asked for.
    pub name: String,
    /// `None` for a normal one, else `dev` or `build`.
    pub kind: Option<String>,
    /// Its folder, when it is a path dependency.
    pub path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDep>,
}

#[derive(Debug, Deserialize)]
struct NodeDep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Debug, Deserialize)]
struct DepKind {
    kind: Option<String>,
}

impl Metadata {
    /// Reads the manifests only; asks no registry.
    ///
    /// # Errors
    /// When cargo refuses a manifest.
    pub fn manifests(workspace: &Path) -> Result<Self> {
        read(workspace, &["--no-deps"])
    }

    /// Resolves the dependencies as the lock file says.
    ///
    /// # Errors
    /// When the lock file is missing or stale, or a package cannot be had.
    pub fn resolved(workspace: &Path) -> Result<Self> {
        read(workspace, &["--locked", "--filter-platform", TARGET])
    }

    /// The packages that end up in the binaries of `roots`, and those that only run while they are built.
    ///
    /// # Errors
    /// When there is no package of such a name.
    pub fn closure(&self, roots: &[&str]) -> Result<(Vec<&Package>, Vec<&Package>)> {
        let by_id: BTreeMap<_, _> = self.packages.iter().map(|p| (p.id.as_str(), p)).collect();
        let nodes = self.resolve.as_ref().context("metadata without its graph")?;
        let nodes: BTreeMap<_, _> = nodes.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
        let mut todo = Vec::new();
        for root in roots {
            let Some(start) = self.packages.iter().find(|p| p.name == *root) else {
                bail!("no package {root}");
            };
            todo.push((start.id.as_str(), false));
        }
        let (mut linked, mut building) = (BTreeSet::new(), BTreeSet::new());
        while let Some((id, at_build)) = todo.pop() {
            let at_build = at_build || by_id.get(id).is_some_and(|p| p.has("proc-macro"));
            if !(if at_build { &mut building } else { &mut linked }).insert(id) {
                continue;
            }
            for dep in nodes.get(id).into_iter().flat_map(|n| &n.deps) {
                for DepKind { kind } in &dep.dep_kinds {
                    match kind.as_deref() {
                        None => todo.push((&dep.pkg, at_build)),
                        Some("build") => todo.push((&dep.pkg, true)),
                        Some(_) => {}
                    }
                }
            }
        }
        let building = building.difference(&linked).filter_map(|id| by_id.get(id).copied());
        let building = sorted(building.collect());
        Ok((sorted(linked.iter().filter_map(|id| by_id.get(id).copied()).collect()), building))
    }
}

fn sorted(mut packages: Vec<&Package>) -> Vec<&Package> {
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    packages
}

fn read(workspace: &Path, options: &[&str]) -> Result<Metadata> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .args(options)
        .current_dir(workspace)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata: unexpected answer")
}
