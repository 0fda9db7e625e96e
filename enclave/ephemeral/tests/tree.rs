//! Names against a naive model: a map from paths to nodes.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;

use enclave_ephemeral::{
    Error, FileSystem, Following, Found, Ino, Kind, ROOT, Replace, Scope, Who,
};
use proptest::prelude::*;

const ROOT_USER: Who = Who { user: 0, group: 0, privileged: true, now: [1, 0] };
const LIMIT: u64 = 64;

/// Paths of at most three names out of three.
fn path() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned);
    proptest::collection::vec(name, 1..4)
}

#[derive(Clone, Debug)]
enum Step {
    Create(Vec<String>, bool),
    Remove(Vec<String>, bool),
    Rename(Vec<String>, Vec<String>, Replace),
    Link(Vec<String>, Vec<String>),
}

fn step() -> impl Strategy<Value = Step> {
    let replace = prop_oneof![Just(Replace::Yes), Just(Replace::No), Just(Replace::Exchange)];
    prop_oneof![
        3 => (path(), any::<bool>()).prop_map(|(path, directory)| Step::Create(path, directory)),
        1 => (path(), any::<bool>()).prop_map(|(path, directory)| Step::Remove(path, directory)),
        2 => (path(), path(), replace).prop_map(|(old, new, how)| Step::Rename(old, new, how)),
        1 => (path(), path()).prop_map(|(old, new)| Step::Link(old, new)),
    ]
}

/// Every path with a number for its node, negative for directories.
type Model = BTreeMap<Vec<String>, i64>;

fn parent_error(model: &Model, path: &[String]) -> Option<Error> {
    for len in 1..path.len() {
        match model.get(&path[..len]) {
            None => return Some(Error::NotFound),
            Some(1..) => return Some(Error::NotDirectory),
            Some(_) => {}
        }
    }
    None
}

fn has_children(model: &Model, path: &[String]) -> bool {
    model.keys().any(|other| other.len() > path.len() && other.starts_with(path))
}

/// Moves a path with all that is below it.
fn shift(model: &mut Model, old: &[String], new: &[String]) {
    let moved: Vec<_> = model.keys().filter(|path| path.starts_with(old)).cloned().collect();
    for path in moved {
        let value = model.remove(&path).unwrap();
        model.insert([new, &path[old.len()..]].concat(), value);
    }
}

fn rename(model: &mut Model, old: &[String], new: &[String], how: Replace) -> Result<(), Error> {
    for path in [old, new] {
        if let Some(error) = parent_error(model, path) {
            return Err(error);
        }
    }
    let node = *model.get(old).ok_or(Error::NotFound)?;
    let target = model.get(new).copied();
    match (how, target) {
        (Replace::No, Some(_)) => return Err(Error::Exists),
        (Replace::Exchange, None) => return Err(Error::NotFound),
        _ => {}
    }
    if node < 0 && new.len() > old.len() && new.starts_with(old) {
        return Err(Error::Invalid);
    }
    if target == Some(node) {
        return Ok(());
    }
    if how == Replace::Exchange {
        if target.is_some_and(|target| target < 0) && old.len() > new.len() && old.starts_with(new)
        {
            return Err(Error::Invalid);
        }
        let aside = vec!["aside".to_owned()];
        shift(model, old, &aside);
        shift(model, new, old);
        shift(model, &aside, new);
        return Ok(());
    }
    match target {
        Some(target) if target < 0 && node > 0 => return Err(Error::IsDirectory),
        Some(target) if target < 0 && has_children(model, new) => return Err(Error::NotEmpty),
        Some(target) if target > 0 && node < 0 => return Err(Error::NotDirectory),
        _ => {}
    }
    model.remove(new);
    shift(model, old, new);
    Ok(())
}

fn following(last: bool, scope: Scope) -> Following {
    Following { last, links: 40, scope }
}

fn find(fs: &FileSystem, path: &[String]) -> Result<Found, Error> {
    fs.walk(ROOT, path.join("/").as_bytes(), following(false, Scope::Everywhere), &ROOT_USER)
}

/// The directory and the name that a path means, whether it is in use or not.
fn place(fs: &FileSystem, path: &[String]) -> Result<(Ino, Vec<u8>, Option<Ino>), Error> {
    match find(fs, path)? {
        Found::Node { ino, parent, name } => Ok((parent, name.unwrap(), Some(ino))),
        Found::Missing { parent, name, .. } => Ok((parent, name, None)),
        Found::Outside { .. } => unreachable!("no path leads out"),
    }
}

fn all(fs: &FileSystem, directory: Ino, above: &[String], found: &mut BTreeMap<Vec<String>, Ino>) {
    for (entry, kind) in fs.list(directory, 2).unwrap() {
        let path = [above, &[String::from_utf8(entry.name).unwrap()]].concat();
        found.insert(path.clone(), entry.ino);
        if kind == Kind::Directory {
            all(fs, entry.ino, &path, found);
        }
    }
}

proptest! {
    #[test]
    fn names_do_what_the_model_does(steps in proptest::collection::vec(step(), 1..60)) {
        let mut fs = FileSystem::new(LIMIT, 0o777, &ROOT_USER);
        let mut model = Model::new();
        for (number, step) in (1_i64..).zip(steps) {
            match step {
                Step::Create(path, directory) => {
                    let kind = if directory { Kind::Directory } else { Kind::File };
                    let got = place(&fs, &path)
                        .and_then(|(parent, name, _)| fs.create(parent, &name, kind, b"", 0o755, &ROOT_USER))
                        .map(|_| ());
                    let expected = match parent_error(&model, &path) {
                        Some(error) => Err(error),
                        None if model.contains_key(&path) => Err(Error::Exists),
                        None => Ok(()),
                    };
                    prop_assert_eq!(got, expected);
                    if got.is_ok() {
                        model.insert(path, if directory { -number } else { number });
                    }
                }
                Step::Remove(path, directory) => {
                    let got = place(&fs, &path)
                        .and_then(|(parent, name, _)| fs.unlink(parent, &name, directory, &ROOT_USER));
                    let expected = match (parent_error(&model, &path), model.get(&path)) {
                        (Some(error), _) => Err(error),
                        (_, None) => Err(Error::NotFound),
                        (_, Some(..=-1)) if !directory => Err(Error::IsDirectory),
                        (_, Some(..=-1)) if has_children(&model, &path) => Err(Error::NotEmpty),
                        (_, Some(1..)) if directory => Err(Error::NotDirectory),
                        _ => Ok(()),
                    };
                    prop_assert_eq!(got, expected);
                    if got.is_ok() {
                        model.remove(&path);
                    }
                }
                Step::Rename(old, new, how) => {
                    let got = place(&fs, &old).and_then(|from| Ok((from, place(&fs, &new)?))).and_then(
                        |((from, old, _), (to, new, _))| fs.rename((from, &old), (to, &new), how, &ROOT_USER),
                    );
                    prop_assert_eq!(got, rename(&mut model, &old, &new, how));
                }
                Step::Link(old, new) => {
                    let got = place(&fs, &old)
                        .and_then(|(_, _, ino)| ino.ok_or(Error::NotFound))
                        .and_then(|ino| Ok((ino, place(&fs, &new)?)))
                        .and_then(|(ino, (parent, name, _))| fs.link(ino, parent, &name, &ROOT_USER));
                    let expected = match (parent_error(&model, &old), model.get(&old)) {
                        (Some(error), _) => Err(error),
                        (_, None) => Err(Error::NotFound),
                        (_, Some(node)) => match parent_error(&model, &new) {
                            Some(error) => Err(error),
                            None if *node < 0 => Err(Error::NotPermitted),
                            None if model.contains_key(&new) => Err(Error::Exists),
                            None => Ok(*node),
                        },
                    };
                    prop_assert_eq!(got, expected.map(|_| ()));
                    if let Ok(node) = expected {
                        model.insert(new, node);
                    }
                }
            }
            let mut found = BTreeMap::new();
            all(&fs, ROOT, &[], &mut found);
            prop_assert_eq!(found.keys().collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
            prop_assert_eq!(fs.names(), model.len() as u64);
            for (path, ino) in &found {
                let attributes = fs.attributes(*ino).unwrap();
                let node = model[path];
                let links = if node < 0 {
                    let below = |other: &&Vec<String>| other.len() == path.len() + 1 && other.starts_with(path);
                    2 + model.keys().filter(below).filter(|other| model[*other] < 0).count()
                } else {
                    model.values().filter(|other| **other == node).count()
                };
                prop_assert_eq!(attributes.links, links as u64);
                prop_assert_eq!(attributes.kind == Kind::Directory, node < 0);
                if node < 0 {
                    prop_assert_eq!(fs.path_of(*ino).unwrap(), format!("/{}", path.join("/")).into_bytes());
                }
            }
        }
    }
}

fn create(fs: &mut FileSystem, parent: Ino, name: &str, kind: Kind, target: &str) -> Ino {
    fs.create(parent, name.as_bytes(), kind, target.as_bytes(), 0o644, &ROOT_USER).unwrap()
}

fn write(fs: &mut FileSystem, ino: Ino, offset: u64, len: usize) -> Result<usize, Error> {
    fs.write(ino, offset, len, [2, 0], |_, part| {
        part.fill(1);
        Ok::<_, ()>(())
    })
    .map(|written| written.unwrap())
}

#[test]
fn the_limit_is_felt_and_given_back() {
    let mut fs = FileSystem::new(4, 0o777, &ROOT_USER);
    let file = create(&mut fs, ROOT, "f", Kind::File, "");
    assert_eq!(write(&mut fs, file, 100, 3 * 4096), Ok(3 * 4096));
    assert_eq!(fs.usage(), (4, 4));
    // What is there already can be written to; the rest is cut off, or refused.
    assert_eq!(write(&mut fs, file, 4 * 4096 - 10, 100), Ok(10));
    assert_eq!(write(&mut fs, file, 4 * 4096, 1), Err(Error::NoSpace));
    assert_eq!(fs.allocate(file, 0, 5 * 4096, true, [3, 0]), Err(Error::NoSpace));
    fs.punch(file, 0, 4096, [3, 0]).unwrap();
    assert_eq!(fs.usage(), (3, 4));
    // An open file without a name keeps its blocks until it is closed.
    fs.hold(file);
    fs.unlink(ROOT, b"f", false, &ROOT_USER).unwrap();
    assert_eq!(fs.usage(), (3, 4));
    fs.release(file);
    assert_eq!(fs.usage(), (0, 4));
    assert_eq!(fs.attributes(file), Err(Error::NotFound));
}

#[test]
fn names_are_limited_too() {
    let mut fs = FileSystem::new(20, 0o777, &ROOT_USER);
    for number in 0..20 {
        create(&mut fs, ROOT, &format!("{number}"), Kind::File, "");
    }
    let more = fs.create(ROOT, b"more", Kind::File, b"", 0, &ROOT_USER);
    assert_eq!(more, Err(Error::NoSpace));
}

#[test]
fn links_lead_on_out_and_in_circles() {
    let mut fs = FileSystem::new(LIMIT, 0o777, &ROOT_USER);
    let directory = create(&mut fs, ROOT, "d", Kind::Directory, "");
    let file = create(&mut fs, directory, "f", Kind::File, "");
    create(&mut fs, directory, "up", Kind::Link, "../d/./f");
    create(&mut fs, ROOT, "away", Kind::Link, "/etc");
    create(&mut fs, ROOT, "round", Kind::Link, "round/");
    let walk = |path: &str, last| {
        fs.walk(ROOT, path.as_bytes(), following(last, Scope::Everywhere), &ROOT_USER)
    };
    let node = |found| matches!(found, Ok(Found::Node { ino, .. }) if ino == file);
    assert!(node(walk("d/up", true)));
    assert!(!node(walk("d/up", false)));
    assert_eq!(walk("d/up/", false), Err(Error::NotDirectory));
    assert_eq!(walk("d/f/x", false), Err(Error::NotDirectory));
    let outside = |path: &str, links| Ok(Found::Outside { path: path.into(), links });
    assert_eq!(walk("away//x/", true), outside("/etc/x/", 39));
    assert_eq!(walk("d/../../x", true), outside("../x", 40));
    assert_eq!(walk("round", true), Err(Error::Loop));
    assert_eq!(walk(&"n".repeat(256), true), Err(Error::NameTooLong));
}

#[test]
fn paths_stay_where_they_must() {
    let mut fs = FileSystem::new(LIMIT, 0o777, &ROOT_USER);
    let outer = create(&mut fs, ROOT, "outer", Kind::File, "");
    let directory = create(&mut fs, ROOT, "d", Kind::Directory, "");
    let below = create(&mut fs, directory, "e", Kind::Directory, "");
    let inner = create(&mut fs, directory, "outer", Kind::File, "");
    create(&mut fs, directory, "up", Kind::Link, "e/../../outer");
    create(&mut fs, below, "up", Kind::Link, "../outer");
    create(&mut fs, below, "top", Kind::Link, "/outer");
    let walk = |path: &str, scope| {
        let found = fs.walk(directory, path.as_bytes(), following(true, scope), &ROOT_USER);
        found.map(|found| match found {
            Found::Node { ino, .. } => ino,
            found => panic!("{found:?}"),
        })
    };
    for path in ["e/up", "e/../outer", "./outer", "e/../e/up"] {
        for scope in [Scope::Everywhere, Scope::Beneath, Scope::InRoot] {
            assert_eq!(walk(path, scope), Ok(inner), "{path} {scope:?}");
        }
    }
    for (path, leads) in [("up", outer), ("../outer", outer)] {
        assert_eq!(walk(path, Scope::Everywhere), Ok(leads), "{path}");
        assert_eq!(walk(path, Scope::Beneath), Err(Error::Escapes), "{path}");
        assert_eq!(walk(path, Scope::InRoot), Ok(inner), "{path}");
    }
    assert_eq!(walk("e/top", Scope::Beneath), Err(Error::Escapes));
    assert_eq!(walk("e/top", Scope::InRoot), Ok(inner));
}

#[test]
fn permissions_count_for_the_unprivileged() {
    let mut fs = FileSystem::new(LIMIT, 0o1777, &ROOT_USER);
    let one = Who { user: 1, group: 1, privileged: false, now: [5, 0] };
    let other = Who { user: 2, ..one };
    let file = fs.create(ROOT, b"f", Kind::File, b"", 0o640, &one).unwrap();
    assert_eq!(fs.check(file, &one, 6), Ok(()));
    assert_eq!(fs.check(file, &other, 4), Ok(()));
    assert_eq!(fs.check(file, &other, 2), Err(Error::Denied));
    assert_eq!(fs.check(file, &ROOT_USER, 1), Err(Error::Denied));
    // Sticky: names belong to their owners.
    assert_eq!(fs.unlink(ROOT, b"f", false, &other), Err(Error::NotPermitted));
    assert_eq!(fs.set_mode(file, 0, &other), Err(Error::NotPermitted));
    assert_eq!(fs.set_owner(file, Some(2), None, &one), Err(Error::NotPermitted));
    // A write takes the right to run as the owner away.
    fs.set_mode(file, 0o6755, &one).unwrap();
    write(&mut fs, file, 0, 1).unwrap();
    assert_eq!(fs.attributes(file).unwrap().mode, 0o755);
}

#[test]
fn a_listing_goes_on_where_it_was() {
    let mut fs = FileSystem::new(LIMIT, 0o777, &ROOT_USER);
    for name in ["a", "b", "c"] {
        create(&mut fs, ROOT, name, Kind::File, "");
    }
    let first = fs.list(ROOT, 0).unwrap();
    let names: Vec<_> = first.iter().map(|(entry, _)| entry.name.clone()).collect();
    assert_eq!(names, [&b"."[..], b"..", b"a", b"b", b"c"]);
    let behind_a = first[2].0.next;
    fs.unlink(ROOT, b"a", false, &ROOT_USER).unwrap();
    create(&mut fs, ROOT, "0", Kind::File, "");
    let rest = fs.list(ROOT, behind_a).unwrap();
    let names: Vec<_> = rest.iter().map(|(entry, _)| entry.name.clone()).collect();
    assert_eq!(names, [b"b", b"c", b"0"]);
}

#[test]
fn attributes_are_kept_and_limited() {
    let mut fs = FileSystem::new(2, 0o777, &ROOT_USER);
    let file = create(&mut fs, ROOT, "f", Kind::File, "");
    let mut set =
        |value: Option<&[u8]>, exists| fs.set_extended(file, b"user.a", value, exists, &ROOT_USER);
    assert_eq!(set(Some(b"x"), Some(true)), Err(Error::NoAttribute));
    assert_eq!(set(Some(b"x"), Some(false)), Ok(()));
    assert_eq!(set(Some(b"y"), Some(false)), Err(Error::Exists));
    assert_eq!(set(Some(&[0; 9000]), None), Err(Error::NoSpace));
    assert_eq!(set(None, Some(true)), Ok(()));
    assert_eq!(fs.usage(), (0, 2));
    assert!(fs.extended(file).unwrap().is_empty());
}
