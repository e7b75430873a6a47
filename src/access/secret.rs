//! Secrets: those the box draws, those a person thinks of, and what is kept of either.

use std::cell::RefCell;
use std::fmt;

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher as _, Version};
use rand_08::RngCore as _;
use rand_08::rngs::OsRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Not shorter, and not longer, in characters.
pub const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 8..=256;
/// So that a token that turns up somewhere is known for what it is.
const PREFIX: &str = "sealbox_";

/// 256 random bits as text. Shown once, and never in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn draw() -> Self {
        let mut bits = [0u8; 32];
        OsRng.fill_bytes(&mut bits);
        Self(format!("{PREFIX}{}", hex::encode(bits)))
    }

    /// The secret itself.
    pub fn shown(&self) -> &str {
        &self.0
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// BLAKE3 of a secret. Compared in constant time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(blake3::Hash);

impl Digest {
    pub fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = blake3::Hash::from_hex(text);
        hash.map(Self).map_err(|_| serde::de::Error::custom("a digest is 64 hex digits"))
    }
}

/// A password's argon2id hash in the PHC string format, with its salt and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordKept(String);

impl PasswordKept {
    /// # Errors
    /// What is wrong with the password, with what to do.
    pub fn of(password: &str) -> Result<Self, String> {
        let (least, most) = (PASSWORD_LENGTH.start(), PASSWORD_LENGTH.end());
        if !PASSWORD_LENGTH.contains(&password.chars().count()) {
            return Err(format!("a password has {least} to {most} characters; choose another"));
        }
        if password.chars().any(char::is_control) {
            return Err("a password has no control characters; type it in again".to_owned());
        }
        let mut salt = [0u8; 16];
        OsRng.fill_bytes(&mut salt);
        // The crate's default: argon2id with 19 MiB and two passes, as OWASP has it.
        let hashed = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
        let hashed = hashed.map_err(|error| format!("it could not be hashed ({error})"))?;
        Ok(Self(hashed.to_string()))
    }

    pub fn is_of(&self, password: &str) -> bool {
        // What is longer was never taken, and is not worth hashing.
        if password.chars().count() > *PASSWORD_LENGTH.end() {
            return false;
        }
        let Ok(hashed) = PasswordHash::new(&self.0) else { return false };
        let Some((kept, given)) = hashed.hash.zip(hash_as(&hashed, password)) else { return false };
        // In constant time.
        given == kept
    }

    /// Whether it can be compared with anything.
    pub fn is_sound(&self) -> bool {
        PasswordHash::new(&self.0).is_ok_and(|hashed| hashed.hash.is_some())
    }

    /// By which a session knows that the password is still the same.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

/// The password's hash under the salt and the parameters of another; none if those make no sense.
fn hash_as(hashed: &PasswordHash, password: &str) -> Option<Output> {
    thread_local! {
        /// Used again by every hash of this thread: given back, 19 MiB at a time, the allocator would
        /// keep several of them.
        static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
    }
    let params = Params::try_from(hashed).ok()?;
    let algorithm = Algorithm::try_from(hashed.algorithm.as_str()).ok()?;
    let version = hashed.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let (salt, mut out) = (hashed.salt.as_ref()?, vec![0; hashed.hash.as_ref()?.len()]);
    MEMORY.with_borrow_mut(|memory| {
        memory.resize(params.block_count(), Block::default());
        let argon2 = Argon2::new(algorithm, version, params);
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut out, memory).ok()
    })?;
    Output::new(&out).ok()
}
