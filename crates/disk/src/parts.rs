//! One write of many parts.

use std::fs::File;
use std::io::{self, IoSlice};

/// Most parts that one call takes (Linux: UIO_MAXIOV).
const PARTS_MAX: usize = 1024;

/// Writes all `parts` of a file from `at` on.
pub(crate) fn write_all_parts_at(file: &File, parts: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
    write_all_parts(parts, at, |parts, at| Ok(rustix::io::pwritev(file, parts, at)?))
}

/// Writes all `parts` by calls of `write`, which takes at most [`PARTS_MAX`] of them and may write less than it is given.
fn write_all_parts(
    mut parts: &mut [IoSlice<'_>],
    mut at: u64,
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize>,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match write(&parts[..parts.len().min(PARTS_MAX)], at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// Writes parts of these lengths by a device that takes as many bytes at a time as `takes` says, over and over.
    fn written(lens: &[usize], takes: &[io::Result<usize>]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let bytes: Vec<u8> = (0..lens.iter().sum()).map(|i: usize| i as u8).collect();
        let mut rest = bytes.as_slice();
        let mut parts: Vec<IoSlice<'_>> = lens
            .iter()
            .map(|&len| {
                let (part, behind) = rest.split_at(len);
                rest = behind;
                IoSlice::new(part)
            })
            .collect();
        let mut file = Vec::new();
        let mut takes = takes.iter().cycle();
        write_all_parts(&mut parts, 100, |parts, at| {
            assert_eq!(at, 100 + file.len() as u64);
            assert!(!parts.is_empty() && parts.len() <= PARTS_MAX);
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            match takes.next().unwrap() {
                Ok(most) => {
                    let taken = all.len().min(*most);
                    file.extend_from_slice(&all[..taken]);
                    Ok(taken)
                }
                Err(error) => Err(error.kind().into()),
            }
        })?;
        Ok((bytes, file))
    }

    #[test]
    fn a_write_that_took_less_goes_on_where_it_ended() {
        let many = vec![1; PARTS_MAX + 7];
        for lens in [&[5, 0, 3, 1][..], &[0, 0], &[1], &many] {
            for most in [1, 2, 3, 5, 6, 1000] {
                let takes = [Ok(most), Err(io::ErrorKind::Interrupted.into()), Ok(most + 1)];
                let (bytes, file) = written(lens, &takes).unwrap();
                assert_eq!(file, bytes, "{} parts, {most} at a time", lens.len());
            }
        }
    }

    #[test]
    fn a_write_that_fails_or_takes_nothing_is_an_error() {
        for (second, kind) in [
            (Ok(0), ErrorKind::WriteZero),
            (Err(ErrorKind::StorageFull.into()), ErrorKind::StorageFull),
        ] {
            let error = written(&[4, 4], &[Ok(6), second]).unwrap_err();
            assert_eq!(error.kind(), kind);
        }
    }
}
