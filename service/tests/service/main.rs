//! The licence service as a front calls it.

mod access;
mod accounting;
mod activation;
mod api;
mod bench;
mod carriers;
mod client;
mod console;
mod datafiles;
mod external;
mod forms;
mod keys;
mod life;
mod lists;
mod monitoring;
mod past;
mod series;
mod vendor;
