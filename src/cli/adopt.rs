//! `adopt-root`: the explicit order that makes a root this box's own.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{Answer, Exit, Refusal};
use crate::config::{Config, RootConfig};
use crate::domain::units::Timestamp;
use crate::storage::identity::Role;
use crate::storage::roots;
use crate::store::{self, StoreError};

/// # Errors
/// The path is not configured; a box runs; the root says that it is another box's.
pub fn answer(config: &Config, path: &Path) -> Result<Answer, Refusal> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let is_one_of = |roots: &[RootConfig]| roots.iter().any(|root| root.path == absolute);
    let role = if is_one_of(&config.scratch) {
        Role::Scratch
    } else if is_one_of(&config.storage) {
        Role::Storage
    } else {
        return Err(Refusal::new(
            Exit::Usage,
            format!("{} is neither a scratch nor a storage of the configuration", path.display()),
            "write it as `sealbox check-config` shows it, or configure it first",
        ));
    };
    let _held = store::hold(&config.data_dir).map_err(|error| {
        let busy = matches!(error, StoreError::Locked { .. });
        let exit = if busy { Exit::Busy } else { Exit::Failed };
        Refusal::new(exit, error.what(), error.mend())
    })?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let adopted = roots::adopt(&config.data_dir, &absolute, role, config.miner, now)
        .map_err(|failure| Refusal::new(Exit::Failed, failure.to_string(), ""))?;
    let text = format!(
        "{} is now a {} of this box (miner {}); start it with `sealbox run`",
        absolute.display(),
        role.name(),
        config.miner
    );
    Ok(Answer { json: json!({ "adopted": absolute, "identity": adopted }), text })
}
