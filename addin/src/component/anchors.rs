//! Where trust anchors come from: 1C code, a datafile that it passes, or the library file itself. Never a server, never a
//! settings file.

use std::path::Path;

use licence::crypto::ring::PROVIDER;
use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::id::{KeyId, RootHash};
use licence::series::TrustAnchor;
use licence::trailer::{self, Trailer};

/// The anchors that a vendor has put behind the end of a library.
pub fn of_library(module: &Path) -> Result<Option<Trailer>> {
    let tail = files::read_end(module, trailer::MAX_LENGTH)?;
    Trailer::read(&PROVIDER, &module.display().to_string(), &tail)
}

/// The anchor of a series that is being started, as 1C code and the library in `module` name it; [`Code::AnchorConflict`] when
/// they name different ones. A broken trailer gives none: diagnostics tell of it, and nothing opens without another anchor.
pub fn look_up(series: KeyId, from_code: Option<TrustAnchor>, module: &Path) -> Result<Option<RootHash>> {
    let from_code = from_code.map(|TrustAnchor(root)| root);
    let from_library = of_library(module).unwrap_or_else(|error| {
        log::error!("{error}");
        None
    });
    match (from_code, from_library.and_then(|trailer| trailer.root(series))) {
        (Some(code), Some(library)) if code != library => Err(Error::new(Code::AnchorConflict)
            .with(series)
            .with_text("свойство ЯкорьДоверия", "property TrustAnchor")),
        (code, library) => Ok(code.or(library)),
    }
}

#[cfg(test)]
mod tests {
    use licence::id::SeriesId;

    use super::*;

    #[test]
    fn code_and_library_name_the_anchor_and_must_not_differ() {
        let path = std::env::temp_dir().join(format!("slk-branded-{}", std::process::id()));
        let (series, root) = (KeyId(0x672B), RootHash([1; 32]));
        let from_code = |byte| Some(TrustAnchor(RootHash([byte; 32])));
        let trailer = Trailer::new("test", vec![SeriesId { key_id: series, root }]).unwrap().write(&PROVIDER);
        std::fs::write(&path, [&[0; 100_000][..], &trailer].concat()).unwrap();
        assert_eq!(look_up(series, None, &path), Ok(Some(root)));
        assert_eq!(look_up(series, from_code(1), &path), Ok(Some(root)));
        assert_eq!(look_up(series, from_code(2), &path).unwrap_err().code, Code::AnchorConflict);
        assert_eq!(look_up(KeyId(1), None, &path), Ok(None));
        assert_eq!(look_up(KeyId(1), from_code(2), &path), Ok(Some(RootHash([2; 32]))));
        let mut broken = trailer.clone();
        broken[20] ^= 1;
        std::fs::write(&path, &broken).unwrap();
        assert_eq!(of_library(&path).unwrap_err().code, Code::TrailerBroken);
        assert_eq!(look_up(series, None, &path), Ok(None));
        assert_eq!(look_up(series, from_code(2), &path), Ok(Some(RootHash([2; 32]))));
        std::fs::write(&path, b"\x7fELF").unwrap();
        assert_eq!(of_library(&path), Ok(None));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look_up(series, None, &path), Ok(None));
    }
}
