//! Bodies of entries: raw deflate (RFC 1951) both ways, within a limit of memory that the caller sets.
//! Compression has one fixed level, so that the same bytes always give the same body.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::{Error, Reason};

const STEP: usize = 32 * 1024;

/// The bytes that `body` holds deflated. Fails with [`Reason::Deflate`] when the data is damaged or cut off, and with
/// [`Reason::InflatedTooLarge`] when it would give more than `limit` bytes; never allocates much more than `limit`.
pub fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    let damaged = |at: u64| Error::at("deflated body", at as usize, Reason::Deflate);
    let mut inflater = Decompress::new(false);
    let mut out = Vec::new();
    loop {
        let rest = body.get(inflater.total_in() as usize..).unwrap_or_default();
        out.reserve_exact(STEP.max(out.len()).min(limit.saturating_add(1).saturating_sub(out.len())).max(1));
        let before = (inflater.total_in(), inflater.total_out());
        let status =
            inflater.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(|_| damaged(inflater.total_in()))?;
        if out.len() > limit {
            return Err(Error::new("deflated body", Reason::InflatedTooLarge(limit)));
        }
        match status {
            Status::StreamEnd => return Ok(out),
            _ if before == (inflater.total_in(), inflater.total_out()) => return Err(damaged(inflater.total_in())),
            _ => {}
        }
    }
}

/// `data` as a deflated body. The same data gives the same body with the same build of this library.
pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut deflater = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(data.len() / 3 + 64);
    loop {
        let rest = data.get(deflater.total_in() as usize..).unwrap_or_default();
        // The compressor never refuses input; without room it only asks to be called again.
        if let Ok(Status::StreamEnd) = deflater.compress_vec(rest, &mut out, FlushCompress::Finish) {
            return out;
        }
        out.reserve(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_over_the_limit_is_refused_without_being_inflated() {
        let bomb = deflate(&vec![0; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let error = inflate(&bomb, 1 << 20).unwrap_err();
        assert_eq!(error.reason, Reason::InflatedTooLarge(1 << 20));
    }

    #[test]
    fn the_limit_itself_is_permitted() {
        let body = deflate(&[7; 1000]);
        assert_eq!(inflate(&body, 1000).unwrap(), [7; 1000]);
        assert_eq!(inflate(&body, 999).unwrap_err().reason, Reason::InflatedTooLarge(999));
        assert_eq!(inflate(&deflate(&[]), 0).unwrap(), []);
    }

    #[test]
    fn a_body_that_was_cut_off_is_an_error() {
        let body = deflate("Процедура Проверить() Экспорт".as_bytes());
        for end in 0..body.len() {
            assert_eq!(inflate(&body[..end], 1000).unwrap_err().reason, Reason::Deflate, "cut at {end}");
        }
    }
}
