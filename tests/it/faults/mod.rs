//! The controller while everything around it fails: its own process, its rivals, the API server, and the answers.
