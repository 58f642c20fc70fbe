//! Where trust anchors come from: 1C code, or a datafile that it passes. Never a server, never a settings file.

use licence::id::{KeyId, RootHash};
use licence::series::TrustAnchor;

/// The anchor of a series that is being started. What 1C code gave wins; other places that belong to the configuration or to the
/// library itself are asked here and nowhere else.
pub fn look_up(_series: KeyId, from_code: Option<TrustAnchor>) -> Option<RootHash> {
    from_code.map(|TrustAnchor(root)| root)
}
