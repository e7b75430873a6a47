//! Moving bytes at the box's rate, and digesting them on the way.
//!
//! Not `fs_extra`'s copy: that one knows no digest and no sync, and the file would have to be read
//! once more for each.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{Advice, SeekFrom as Next, fadvise};
use rustix::io::Errno;

use super::rate::RateLimit;
use crate::domain::failure::Failure;
use crate::domain::ids::Bytes32;

/// Large enough for the disk, small enough to share a rate limit by turns.
const PIECE: usize = 1 << 20;

/// What went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pumped {
    pub bytes: u64,
    pub blake3: Bytes32,
}

/// At which end it stopped: the two are different disks, and different people's.
#[derive(Debug)]
pub enum PumpError {
    Read(io::Error),
    Write(io::Error),
}

/// Moves everything from one end to the other. `moved` is told of every piece; its error ends it.
pub fn pump(
    from: &mut impl Read,
    to: &mut impl Write,
    limit: &RateLimit,
    moved: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Pumped, PumpError> {
    let mut digest = blake3::Hasher::new();
    let bytes = stream(from, to, limit, moved, &mut digest)?;
    Ok(Pumped { bytes, blake3: Bytes32(digest.finalize().into()) })
}

fn stream(
    from: &mut impl Read,
    to: &mut impl Write,
    limit: &RateLimit,
    moved: &mut dyn FnMut(u64) -> io::Result<()>,
    digest: &mut blake3::Hasher,
) -> Result<u64, PumpError> {
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(PumpError::Read(error)),
        };
        limit.take(read as u64);
        to.write_all(&piece[..read]).map_err(PumpError::Write)?;
        digest.update(&piece[..read]);
        bytes += read as u64;
        moved(read as u64).map_err(PumpError::Read)?;
    }
}

/// As [`pump`], into an empty file and with holes kept: they are digested as the zeros that they
/// stand for, and neither read nor written. Where the file system knows none, all is data.
pub fn pump_around_holes(
    from: &mut File,
    to: &mut File,
    limit: &RateLimit,
    moved: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Pumped, PumpError> {
    let total = from.metadata().map_err(PumpError::Read)?.len();
    let zeros = vec![0; PIECE];
    let mut digest = blake3::Hasher::new();
    let mut at = 0;
    while at < total {
        let data = next(from, Next::Data(at), at, total).map_err(PumpError::Read)?;
        while at < data {
            let length = (data - at).min(PIECE as u64);
            digest.update(&zeros[..usize::try_from(length).expect("no more than a piece")]);
            at += length;
            moved(length).map_err(PumpError::Read)?;
        }
        let hole = next(from, Next::Hole(at), total, total).map_err(PumpError::Read)?;
        from.seek(SeekFrom::Start(at)).map_err(PumpError::Read)?;
        to.seek(SeekFrom::Start(at)).map_err(PumpError::Write)?;
        let part = &mut from.take(hole.saturating_sub(at));
        let bytes = stream(part, to, limit, moved, &mut digest)?;
        at += bytes;
        if at < hole {
            // It became shorter meanwhile: the caller sees it by the length.
            break;
        }
    }
    to.set_len(at).map_err(PumpError::Write)?;
    Ok(Pumped { bytes: at, blake3: Bytes32(digest.finalize().into()) })
}

/// Where data or a hole begins next. `unknown`: what is taken where the file system cannot say.
fn next(file: &File, what: Next, unknown: u64, end: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, what) {
        Ok(place) => Ok(place),
        Err(Errno::NXIO) => Ok(end),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(unknown),
        Err(other) => Err(other.into()),
    }
}

/// Reads the file from the disk rather than from memory, and digests it.
pub fn read_back(
    path: &Path,
    limit: &RateLimit,
    moved: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<Pumped, Failure> {
    let failed = |error: io::Error| Failure::io("reading the stored copy back", path, &error);
    let mut file = File::open(path).map_err(failed)?;
    // What was just written is still in memory, right even where the disk has it wrong. Advice is
    // all it is: a file system that does not take it is read as it comes.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let read = pump(&mut file, &mut io::sink(), limit, moved);
    // Nobody reads it again soon: it need not push out what others do.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    match read {
        Ok(pumped) => Ok(pumped),
        Err(PumpError::Read(error) | PumpError::Write(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn everything_arrives_with_its_digest() {
        let data: Vec<u8> = (0..3 * PIECE + 17).map(|n| (n % 251) as u8).collect();
        let mut to = Vec::new();
        let mut told = 0;
        let limit = RateLimit::new(None);
        let mut tell = |n| {
            told += n;
            Ok(())
        };
        let pumped = pump(&mut data.as_slice(), &mut to, &limit, &mut tell).unwrap();
        assert_eq!(to, data);
        assert_eq!(told, data.len() as u64);
        assert_eq!(pumped.bytes, data.len() as u64);
        assert_eq!(pumped.blake3, Bytes32(blake3::hash(&data).into()));
    }

    #[test]
    fn holes_are_kept_and_digested_as_the_zeros_that_they_stand_for() {
        const LENGTH: u64 = 8 << 20;
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        // Data, a hole, data, a hole; one ends within a piece.
        let mut file = File::create(&from).unwrap();
        file.write_all(&[7; 1_000]).unwrap();
        file.seek(SeekFrom::Start(3 << 20)).unwrap();
        file.write_all(&vec![8; PIECE + 5]).unwrap();
        file.set_len(LENGTH).unwrap();
        let expected = std::fs::read(&from).unwrap();
        let mut told = 0;
        let mut tell = |n| {
            told += n;
            Ok(())
        };
        let (mut source, mut target) = (File::open(&from).unwrap(), File::create(&to).unwrap());
        let limit = RateLimit::new(None);
        let pumped = pump_around_holes(&mut source, &mut target, &limit, &mut tell).unwrap();
        target.sync_all().unwrap();
        assert_eq!(pumped.blake3, Bytes32(blake3::hash(&expected).into()));
        assert_eq!((pumped.bytes, told), (LENGTH, LENGTH));
        assert!(std::fs::read(&to).unwrap() == expected, "the copy is another");
        let blocks =
            |path| std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(path).unwrap());
        // Where the file system has no holes, there was none to keep.
        assert!(blocks(&to) <= blocks(&from).max(1), "{} of {}", blocks(&to), blocks(&from));
    }

    #[test]
    fn a_full_disk_is_an_error_of_the_writing_end() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let limit = RateLimit::new(None);
        match pump(&mut [1u8; 10].as_slice(), &mut full, &limit, &mut |_| Ok(())) {
            Err(PumpError::Write(error)) => assert_eq!(error.kind(), ErrorKind::StorageFull),
            other => panic!("{other:?}"),
        }
    }
}
