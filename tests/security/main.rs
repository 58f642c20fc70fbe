//! The attacks that servers of this kind have suffered, class by class, against the real server. What an attack needs besides
//! a socket is in `stage`.

mod broken_channel;
mod cookies;
mod default_password;
mod forged_licence;
mod guessing;
mod hang;
mod header_injection;
mod low_role;
mod parsers;
mod path_traversal;
mod programs_in_settings;
mod request_from_the_server;
mod request_smuggling;
mod route_without_authentication;
mod script;
mod siege;
mod stage;
mod weak_identifiers;
mod web_page;
