//! The vendor's side: the desk (`licenceedit`) makes series, datafiles and codes; the centre (`licencecenter`) exchanges
//! codes for licences. Roots belong to the desk: nothing that the centre runs may ever read a `.cryptkey`.

pub mod bundle;
pub mod centre;
pub mod desk;
pub mod failure;
pub mod folder;
pub mod keyfile;
pub mod passphrase;
pub mod program;
pub mod rules;
pub mod service;
pub mod store;
pub mod terms;

use licence::crypto::{Crypto, aws_lc};

/// The cryptographic provider of both programs.
pub static CRYPTO: &dyn Crypto = &aws_lc::PROVIDER;
