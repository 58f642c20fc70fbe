//! The server from an administrator's side.
use e2e::{Outcome, Site};

#[test]
fn a_code_of_the_centre() -> Outcome {
    let site = Site::new("x")?;
    println!("{}", site.vendor.code(3, &["--flags", "1,2"])?);
    println!("{}", site.vendor.anchor_hash()?);
    Ok(())
}
