//! From the properties' settings to those of the store and of the listeners.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use disk::Clock;
use remoting::{AddressLimits, Limits, Room, ServerSettings};
use store::{FlushType, StoreSettings};

use crate::settings::Settings;

/// What the store is told when it is opened.
pub fn of(broker: &Settings, delay_levels_ms: &[i64], clock: &dyn Clock) -> StoreSettings {
    let s = &broker.store;
    let at_start = StoreSettings {
        commitlog_dirs: s.commit_log_dirs(),
        read_only_commitlog_dirs: s.read_only_commit_log_dirs(),
        commitlog_file_size: i64::from(s.mapped_file_size_commit_log),
        consumequeue_file_size: i64::from(s.mapped_file_size_consume_queue),
        ext: s.enable_consume_queue_ext,
        ext_file_size: i64::from(s.mapped_file_size_consume_queue_ext),
        multi_dispatch: s.enable_multi_dispatch,
        lmq: s.enable_lmq,
        max_lmq_queues: s.max_lmq_consume_queue_num.max(0) as usize,
        flush_type: if broker.is_sync_flush() {
            FlushType::Sync
        } else {
            FlushType::Async
        },
        accept_missing_log: s.accept_missing_commit_log,
        replica: broker.is_slave(),
        check_crc_on_recover: s.check_crc_on_recover,
        verify_property_crc: s.force_verify_prop_crc,
        append_crc: s.enabled_append_prop_crc,
        correct_offsets: !broker.is_slave() || s.offset_check_in_slave,
        index: s.message_index_enable,
        index_slots: s.max_hash_slot_num,
        index_entries: s.max_index_num,
        local_offset_ms: settings::host::local_offset_ms(clock.now_ms()),
        delay_levels_ms: delay_levels_ms.to_vec(),
        ..StoreSettings::below(PathBuf::from(&s.store_path_root_dir))
    };
    tuned(broker, at_start)
}

/// `base` with everything that may change while the store is open ([`store::Store::tune`]).
pub fn tuned(settings: &Settings, base: StoreSettings) -> StoreSettings {
    let s = &settings.store;
    let memory = disk::physical_memory_bytes().unwrap_or(4 << 30);
    let memory_percent = s.access_message_in_memory_max_ratio.clamp(0, 100) as u64;
    StoreSettings {
        max_message_size: i64::from(s.max_message_size),
        max_transfer_bytes_in_memory: i64::from(s.max_transfer_bytes_on_message_in_memory),
        max_transfer_count_in_memory: s.max_transfer_count_on_message_in_memory,
        max_transfer_bytes_on_disk: i64::from(s.max_transfer_bytes_on_message_in_disk),
        max_transfer_count_on_disk: s.max_transfer_count_on_message_in_disk,
        memory_window_bytes: (memory / 100 * memory_percent) as i64,
        query_max: s.max_msgs_num_batch.max(1) as usize,
        file_reserved_hours: i64::from(s.file_reserved_time),
        delete_when: s.delete_hours().into_iter().map(u32::from).collect(),
        disk_max_used_percent: s.disk_max_used_space_ratio.clamp(10, 95) as u32,
        disk_clean_forcibly_percent: s.disk_space_clean_forcibly_ratio.clamp(30, 85) as u32,
        disk_warning_percent: s.disk_space_warning_level_ratio.clamp(35, 90) as u32,
        clean_forcibly: s.clean_file_forcibly_enable,
        delete_batch_max: s.delete_file_batch_max.max(1) as usize,
        ..base
    }
}

/// Bytes of requests that may be held: an eighth of the memory, within reason.
fn room_bytes() -> usize {
    let memory = disk::physical_memory_bytes().unwrap_or(4 << 30);
    (memory / 8).clamp(64 << 20, 512 << 20) as usize
}

/// What a listener on `port` is told.
pub fn server(settings: &Settings, port: u16) -> Result<ServerSettings, String> {
    let s = &settings.server;
    let ip = s.listens_on()?;
    Ok(ServerSettings {
        connections_max: process::Descriptors::current().connections_max(),
        room: Arc::new(Room::of(room_bytes())),
        backlog: s.server_socket_backlog.max(1) as u32,
        send_buffer_bytes: s.server_socket_snd_buf_size.max(0) as u32,
        receive_buffer_bytes: s.server_socket_rcv_buf_size.max(0) as u32,
        limits: Limits {
            idle: Duration::from_secs(s.server_channel_max_idle_time_seconds.max(0) as u64),
            frame_bytes_per_second: s.server_frame_bytes_per_second.max(0) as usize,
            requests_per_second: s.server_requests_per_second_per_connection.max(0) as u32,
            address_requests_per_second: s.server_requests_per_second_per_address.max(0) as u32,
            ..Limits::default()
        },
        address: AddressLimits {
            connections_max: s.server_connections_per_address_max.max(0) as usize,
            bytes_held_max: usize::try_from(s.server_bytes_held_per_address_max).unwrap_or(0),
            handshakes_max: s.server_handshakes_max.max(0) as usize,
        },
        proxies: s.proxies(),
        ..ServerSettings::at(SocketAddr::new(ip, port))
    })
}
