//! The controller while everything around it fails: its own process, its rivals, the API server, and the answers.

mod answers;
mod crash;
mod everything;
mod rivals;
mod server;
mod stop;
