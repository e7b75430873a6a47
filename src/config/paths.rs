//! Paths of the configuration: made absolute, and kept apart from each other.

use std::path::{Component, Path, PathBuf};

use super::RootConfig;
use super::problem::{Place, Problem};
use super::reader::Got;
use crate::within::{SHORT_LIMIT, within};

/// A path as it was written, against the directory it is relative to.
///
/// # Errors
/// What was expected instead, if the text cannot be a path that was meant.
pub fn absolute(base: &Path, written: &str) -> Result<PathBuf, &'static str> {
    if written.trim().is_empty() {
        return Err("expected a path");
    }
    if written.contains('\0') {
        return Err("expected a path; a zero byte cannot be in one");
    }
    if written.starts_with('~') || written.contains('$') {
        return Err("expected the path written out: `~` and `$` are not expanded here");
    }
    // Collecting components drops `.` and double slashes, which would only disturb whoever reads.
    Ok(base.join(written).components().collect())
}

/// The path that really is meant: symlinks followed and `..` taken as the file system takes it,
/// as far as the path exists.
fn resolve(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                resolved.push(component);
                if let Ok(canonical) = resolved.canonicalize() {
                    resolved = canonical;
                }
            }
        }
    }
    resolved
}

/// A directory with the name its key gives it.
struct Named<'a> {
    key: &'static str,
    path: &'a Path,
    place: &'a Place,
    resolved: PathBuf,
}

impl<'a> Named<'a> {
    /// A mount that hangs must not keep the box from starting, nor a command from asking it: its
    /// path is then taken as it is written.
    fn new(key: &'static str, path: &'a Path, place: &'a Place) -> Self {
        let written = path.to_path_buf();
        let resolved = within(SHORT_LIMIT, move || resolve(&written));
        Self { key, path, place, resolved: resolved.unwrap_or_else(|| path.to_path_buf()) }
    }

    fn roots(key: &'static str, roots: &'a [Got<RootConfig>]) -> Vec<Self> {
        roots.iter().map(|root| Self::new(key, &root.value.path, &root.place)).collect()
    }
}

enum Overlap {
    Same,
    FirstInside,
    SecondInside,
}

fn overlap(first: &Path, second: &Path) -> Option<Overlap> {
    if first == second {
        Some(Overlap::Same)
    } else if first.starts_with(second) {
        Some(Overlap::FirstInside)
    } else if second.starts_with(first) {
        Some(Overlap::SecondInside)
    } else {
        None
    }
}

/// Refuses directories that would get into each other's way: scratch is cleaned, storage is kept,
/// and the data directory is the box's memory. Scratch and storage may lie inside the data
/// directory, and nothing else inside anything.
pub fn keep_apart(
    data_dir: &Got<PathBuf>,
    scratch: &[Got<RootConfig>],
    storage: &[Got<RootConfig>],
) -> Vec<Problem> {
    let data = Named::new("data_dir", &data_dir.value, &data_dir.place);
    let scratches = Named::roots("scratch", scratch);
    let stores = Named::roots("storage.path", storage);

    let mut problems = Vec::new();
    for (nth, scratch) in scratches.iter().enumerate() {
        problems.extend(apart(scratch, &data, true));
        problems.extend(scratches[..nth].iter().filter_map(|other| apart(scratch, other, false)));
    }
    // What scratch and data directory do to the storage inside them would only repeat it.
    if !problems.is_empty() {
        return problems;
    }
    for (nth, store) in stores.iter().enumerate() {
        problems.extend(apart(store, &data, true));
        let others = scratches.iter().chain(&stores[..nth]);
        problems.extend(others.filter_map(|other| apart(store, other, false)));
    }
    problems
}

fn apart(first: &Named, second: &Named, first_may_lie_inside: bool) -> Option<Problem> {
    let how = match overlap(&first.resolved, &second.resolved)? {
        Overlap::FirstInside if first_may_lie_inside => return None,
        Overlap::Same => "the same directory as",
        Overlap::FirstInside => "inside",
        Overlap::SecondInside => "around",
    };
    let place = match first.place {
        Place::Default {} => second.place.clone(),
        given @ (Place::Line { .. } | Place::File { .. } | Place::Variable { .. }) => given.clone(),
    };
    Some(Problem {
        place,
        key: first.key.to_owned(),
        what: format!(
            "`{}` ({}) is {how} `{}` ({})",
            first.key,
            first.path.display(),
            second.key,
            second.path.display()
        ),
        mend: "expected a directory of its own for each, so that cleaning one never touches \
               another"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(path: &Path) -> Got<PathBuf> {
        Got { value: path.to_path_buf(), place: Place::Variable { variable: "X".into() } }
    }

    fn root(path: &Path) -> Got<RootConfig> {
        let Got { value, place } = got(path);
        Got { value: RootConfig::at(value), place }
    }

    #[test]
    fn a_symlink_does_not_hide_that_two_directories_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let data = got(&dir.path().join("data"));

        let inside = link.join("not/yet/there");
        assert_eq!(keep_apart(&data, &[root(&real)], &[root(&inside)]).len(), 1);
        assert_eq!(keep_apart(&data, &[root(&real), root(&inside)], &[]).len(), 1);
        // `link/..` is where the link leads, not where it stands; both are `dir` here.
        let up = link.join("../other");
        assert_eq!(keep_apart(&data, &[root(&dir.path().join("other"))], &[root(&up)]).len(), 1);
        assert!(keep_apart(&data, &[root(&real)], &[root(&dir.path().join("realm"))]).is_empty());
    }

    #[test]
    fn paths_are_made_absolute_against_their_base() {
        let base = Path::new("/etc/sealbox");
        assert_eq!(absolute(base, "./a//b/.").unwrap().as_os_str(), "/etc/sealbox/a/b");
        assert_eq!(absolute(base, "/x").unwrap(), Path::new("/x"));
        for bad in ["", " ", "~/x", "$HOME/x", "a\0b"] {
            assert!(absolute(base, bad).is_err(), "{bad}");
        }
    }
}
