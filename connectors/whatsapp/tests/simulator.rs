//! The simulator follows the documentation, not our client.
