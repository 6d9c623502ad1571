//! One conformance suite for both ledgers, and what each must do beyond it.
//!
//! A case is an async function over a [`World`]: two handles on one fresh ledger, as two daemons
//! have them. It is run against SQLite and against PostgreSQL; both must pass all of them.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, and its line tells which"
)]

mod access;
mod beside;
mod conversations;
mod durable;
mod editor;
mod files;
mod found;
mod heard;
mod in_band;
mod intake;
mod lanes;
mod leases;
mod looked;
mod notifier;
mod operated;
mod retry_skip;
mod server;
mod together;
mod troubles;
mod upkeep;
mod viewed;
mod webhooks;
mod world;

use world::World;

/// One test per case and ledger.
macro_rules! conformance {
    ($($module:ident: $($case:ident)*;)*) => {
        mod sqlite {
            $($(conformance!(sqlite $module $case);)*)*
        }
        mod postgres {
            $($(conformance!(postgres $module $case);)*)*
        }
    };
    ($ledger:ident $module:ident $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let world = crate::World::$ledger().await;
            crate::$module::$case(&world).await;
            world.end().await;
        }
    };
}

conformance! {
    troubles:
        dead_letters_are_counted_whole_by_cause
        dead_letters_are_counted_whole_by_cause_and_source
        a_session_points_to_its_dead_letters
        lanes_that_wait_after_a_failure_are_counted_by_reason
        parked_webhooks_are_counted_by_cause;
    intake:
        stores_once_and_says_so
        a_duplicate_inside_one_batch_is_one_event
        a_duplicate_changes_nothing
        all_or_none
        an_event_without_lanes_is_stored
        an_opening_event_is_the_lanes_first
        an_idle_lane_is_not_woken_for_what_its_target_never_acts_on
        a_lane_that_waits_is_woken_for_everything
        remembers_session_and_contact
        the_last_inbound_only_grows
        an_inbound_counts_in_every_session_of_the_customer
        an_inbound_frees_held_lanes_of_other_sessions
        a_customer_keeps_their_window_under_a_new_key
        a_dead_letter_is_kept_once
        a_dead_letter_leaves_with_the_events_that_it_became;
    found:
        an_open_conversation_goes_on_else_a_new_one_begins
        what_is_found_is_written_into_the_event
        what_comes_together_is_found_as_if_it_came_one_by_one
        the_same_again_begins_nothing
        a_conversation_that_people_have_goes_on_for_ever
        what_tells_of_no_conversation_is_for_nobody
        what_people_do_not_have_cannot_be_given_back
        a_customer_is_found_under_any_of_their_keys
        a_handoff_that_follows_goes_with_its_message
        a_handoff_without_a_transcript_gets_the_conversations
        a_status_finds_the_conversation_of_the_message
        copies_of_what_we_sent_are_for_nobody
        many_at_once_begin_one_conversation
        a_session_that_is_named_is_taken_as_it_is;
    conversations:
        what_follows_comes_right_after_its_cause
        a_message_that_moves_nothing_leaves_no_trace
        what_was_heard_moves_the_state_or_nothing_is_stored
        a_deadline_is_met_once_whoever_meets_it
        at_most_so_many_deadlines_are_met_at_once
        a_deadline_wakes_the_sessions_lanes
        a_lane_knows_who_was_in_charge_at_its_head
        what_was_said_since_the_return_is_found
        what_the_customer_is_told_follows_its_cause
        what_was_said_since_the_end_is_found_where_it_is_hidden;
    beside:
        lanes_open_once_beside_others_with_their_heads_and_facts
        it_is_known_whether_a_lane_is_parked_for_a_reason
        a_conversation_starts_once_with_the_customers_first_message;
    access:
        a_sign_in_is_known_to_every_daemon_until_it_ends
        sign_ins_that_have_ended_are_forgotten
        who_was_seen_is_remembered
        a_link_signs_in_once
        a_token_is_found_by_its_digest_until_it_is_revoked
        the_audit_log_is_told_newest_first;
    notifier:
        one_tells_people_and_its_word_is_kept
        what_is_not_well_is_found_in_groups
        what_comes_one_by_one_is_found_once;
    lanes:
        loads_within_bounds_and_always_one
        two_sources_may_count_alike
        loads_in_the_gateways_order
        an_unsure_fact_keeps_its_since
        a_refused_fact_is_unsure_once_a_call_leaves_again
        finish_writes_attempts_facts_and_events
        idle_until_an_event_comes
        held_until_an_event_or_its_time
        a_backoff_is_not_shortened
        a_plain_due_time_is
        parked_lanes_collect_events_and_stay_parked
        a_wake_up_during_the_lease_is_not_lost
        events_beyond_the_batch_make_it_due
        events_of_a_release_wake_the_lane_itself
        the_head_never_goes_back;
    leases:
        claims_what_is_due_oldest_first
        claims_no_more_than_asked_for_and_only_its_target
        a_live_lease_is_left_alone_and_a_dead_one_taken_over
        a_takeover_begins_afresh
        a_stale_lease_is_refused_everywhere
        renewing_keeps_a_lease
        what_is_loaded_with_a_claim_is_what_the_worker_would_load
        what_calls_proved_is_written_as_the_lane_is_left_or_not_at_all
        says_when_something_becomes_due
        tells_those_who_wait
        whatever_makes_something_due_has_a_number;
    looked:
        a_lane_that_was_stopped_is_looked_at_once
        a_reply_to_a_lane_that_stands_still_makes_it_looked_at
        with_a_blocked_target_lanes_that_are_due_are_looked_at_too
        what_looking_came_to_is_one_transaction
        an_event_is_found_again_by_the_id_that_connectors_know
        what_a_message_speaks_of_is_found_among_what_came_before;
    heard:
        a_fact_leads_to_its_lane
        a_candidate_may_be_ours
        an_event_is_known_by_source_and_id
        a_session_has_one_lane_in_a_target
        finds_the_customers_session
        feeds_are_claimed_once_and_taken_over
        a_feed_lives_as_long_as_somebody_listens
        feeds_of_other_targets_are_left_alone
        lanes_are_woken_by_number
        lanes_share_a_feed
        what_was_heard_is_one_transaction
        facts_that_were_heard_wake_the_lane;
    webhooks:
        a_webhook_is_kept_once_a_day
        webhooks_are_leased_put_off_and_parked
        webhooks_are_settled;
    editor:
        a_schema_is_kept_with_the_one_before
        a_draft_is_one_for_each_person_and_changes_over_its_revision
        handoffs_of_a_target_are_found_and_the_parked_ones_alone
        a_parked_lane_tells_its_newest_handoff;
    files:
        a_file_is_wanted_with_its_event_and_once
        a_fetch_is_leased_and_its_lease_taken_over
        an_empty_file_gives_way_to_a_newer_one
        a_file_is_read_piece_by_piece_as_it_was_stored
        a_file_that_failed_is_wanted_again_by_another_event
        the_oldest_files_go_where_there_is_no_room
        what_is_too_old_goes_a_little_at_a_time;
    operated:
        lists_lanes_by_what_is_asked
        groups_parked_lanes
        reports_a_session;
    retry_skip:
        retry_makes_due_what_is_meant
        retry_forgets_what_a_person_has_looked_at
        retry_plans_parked_handoffs_with_the_mapping_in_force
        skip_gives_up_the_first_event
        skip_gives_up_the_event_at_which_the_lane_stands
        skip_gives_up_first_what_is_work_again
        skip_settles_an_unknown_outcome
        what_is_being_worked_on_is_left_alone
        a_dry_run_changes_nothing;
    upkeep:
        mappings_have_versions
        counts_the_living
        releasing_all_leases_frees_everything
        numbers_for_metrics
        can_be_pinged;
    viewed:
        conversations_are_listed_the_latest_first
        a_filter_finds_what_fits
        windows_and_people_are_filtered
        a_conversation_is_found_by_what_is_known
        a_sessions_events_are_read_in_both_directions
        what_happened_since_is_told
        figures_are_counted_once;
    together:
        two_daemons_never_get_the_same_lane
        the_same_event_from_many_sides_is_one
        a_session_is_in_order_whoever_admits
        no_wake_up_is_lost_between_admission_and_release
        a_feed_has_one_holder
        a_webhook_from_many_sides_is_one
        mapping_versions_have_no_gap
        two_sessions_of_one_customer_do_not_deadlock;
}
