//! Nodes that find, know and leave each other.

#[path = "../stage/mod.rs"]
mod stage;

mod address_families;
mod clusters_in_memory;
mod global;
mod guests;
mod leaving;
mod lost_connections;
mod membership;
mod mixed_mesh;
mod partitions;
mod pg;
mod phoenix;
mod port_mapper;
mod registration;
mod tls;
