/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema of vpsd.db as steps of migration: step N brings PRAGMA user_version from N to N + 1.
 * A step that was released is never changed again; a change of the schema is one more step.
 * Included by store.c alone. Times are seconds since the epoch.
 */
#pragma once

static const char *const store_migrations[] = {
	/* 0 -> 1 */
	/* Documents are JSON as config/ prints it: a tenant's without its instances. */
	"CREATE TABLE tenants ("
	"  id TEXT PRIMARY KEY NOT NULL,"
	"  name TEXT NOT NULL UNIQUE,"
	"  doc TEXT NOT NULL,"
	"  by_file INTEGER NOT NULL DEFAULT 0," /* a file created it (vps apply --prune) */
	"  created INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE plans ("
	"  name TEXT NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  doc TEXT NOT NULL,"
	"  created INTEGER NOT NULL,"
	"  PRIMARY KEY (name, version)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE images ("
	"  name TEXT PRIMARY KEY NOT NULL,"
	"  digest TEXT NOT NULL,"
	"  created INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE instances ("
	"  id TEXT PRIMARY KEY NOT NULL,"
	"  tenant_id TEXT NOT NULL REFERENCES tenants (id),"
	"  name TEXT NOT NULL,"
	"  phase INTEGER NOT NULL,"   /* enum inst_phase */
	"  desired INTEGER NOT NULL," /* enum inst_desired */
	"  plan TEXT NOT NULL,"
	"  plan_version INTEGER NOT NULL,"
	"  digest TEXT NOT NULL,"
	"  doc TEXT NOT NULL,"		  /* spec_instance */
	"  by_file INTEGER NOT NULL,"	  /* a file created it */
	"  file_fields INTEGER NOT NULL," /* bits of enum inst_field that a file wrote last */
	"  created INTEGER NOT NULL,"
	"  boot INTEGER NOT NULL DEFAULT 0,"	  /* number of the last start */
	"  exit_boot INTEGER NOT NULL DEFAULT 0," /* last boot whose end is recorded */
	"  last_exit INTEGER NOT NULL DEFAULT 0," /* enum keeper_exit */
	"  failures INTEGER NOT NULL DEFAULT 0,"  /* quick ends in a row */
	"  failed INTEGER NOT NULL DEFAULT 0,"	  /* given up: no start until it is asked for or the
						     host is booted */
	"  error TEXT,"
	"  hostname_done TEXT NOT NULL DEFAULT ''," /* the name that stands in its files */
	"  FOREIGN KEY (plan, plan_version) REFERENCES plans (name, version),"
	"  UNIQUE (tenant_id, name)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE id_ranges ("
	"  idx INTEGER PRIMARY KEY NOT NULL,"
	"  instance_id TEXT NOT NULL UNIQUE REFERENCES instances (id) ON DELETE CASCADE"
	") STRICT;"
	"CREATE TABLE operations ("
	"  id TEXT PRIMARY KEY NOT NULL,"
	"  kind INTEGER NOT NULL,"   /* enum op_kind */
	"  status INTEGER NOT NULL," /* enum op_status */
	"  target TEXT NOT NULL,"
	"  instance_id TEXT,"
	"  created INTEGER NOT NULL,"
	"  ended INTEGER,"
	"  error_code TEXT,"
	"  error TEXT,"
	"  hint TEXT,"
	"  result TEXT"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX operations_created ON operations (created);",
	/* 1 -> 2 */
	"CREATE TABLE meta (" /* "id": see store_id(); "lock_since", "lock_reason": db_put_lock() */
	"  key TEXT PRIMARY KEY NOT NULL,"
	"  value TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;",
	/* 2 -> 3: a changed field waits for the next start */
	"ALTER TABLE instances ADD COLUMN restart_needed INTEGER NOT NULL DEFAULT 0;",
	/* 3 -> 4: suspensions; 'suspend' is enum inst_suspend */
	"ALTER TABLE instances ADD COLUMN suspend INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN suspend_since INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN suspend_reason TEXT NOT NULL DEFAULT '';",
	/* 4 -> 5: events; 'name' as the instance was called then, 'details' is JSON */
	"CREATE TABLE events ("
	"  cursor INTEGER PRIMARY KEY NOT NULL,"
	"  time INTEGER NOT NULL,"
	"  instance_id TEXT NOT NULL,"
	"  name TEXT NOT NULL,"
	"  kind TEXT NOT NULL,"
	"  message TEXT NOT NULL,"
	"  details TEXT"
	") STRICT;",
	/* 5 -> 6: interfaces of instances. An address is one instance's whatever the networks are
	 * called; written as addr_format() does. 'protocol' is that of IP. */
	"CREATE TABLE nics ("
	"  instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,"
	"  nic INTEGER NOT NULL,"
	"  network TEXT NOT NULL,"
	"  PRIMARY KEY (instance_id, nic)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE addresses ("
	"  address TEXT PRIMARY KEY NOT NULL,"
	"  instance_id TEXT NOT NULL,"
	"  nic INTEGER NOT NULL,"
	"  position INTEGER NOT NULL," /* among those of the interface */
	"  is_auto INTEGER NOT NULL,"  /* nobody asked for this one */
	"  FOREIGN KEY (instance_id, nic) REFERENCES nics (instance_id, nic) ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX addresses_nic ON addresses (instance_id, nic);"
	"CREATE TABLE forwards ("
	"  protocol INTEGER NOT NULL,"
	"  port INTEGER NOT NULL," /* of the host */
	"  instance_id TEXT NOT NULL,"
	"  nic INTEGER NOT NULL,"
	"  guest_port INTEGER NOT NULL,"
	"  PRIMARY KEY (protocol, port),"
	"  FOREIGN KEY (instance_id, nic) REFERENCES nics (instance_id, nic) ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX forwards_nic ON forwards (instance_id, nic);",
	/* 6 -> 7: what instances have sent and received; 'kind' is enum usage_kind, 'until' 0 =
	 * without end. Rows outlive their instance, 'name' is what it was called. 'suspend_by' is
	 * enum inst_suspend_by. */
	"CREATE TABLE usage ("
	"  instance_id TEXT NOT NULL,"
	"  kind INTEGER NOT NULL,"
	"  start INTEGER NOT NULL,"
	"  until INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  said INTEGER NOT NULL," /* percent of the quota that an event was about; 0 = none */
	"  out_public4_bytes INTEGER NOT NULL,"
	"  out_public4_packets INTEGER NOT NULL,"
	"  out_private4_bytes INTEGER NOT NULL,"
	"  out_private4_packets INTEGER NOT NULL,"
	"  in_public4_bytes INTEGER NOT NULL,"
	"  in_public4_packets INTEGER NOT NULL,"
	"  in_private4_bytes INTEGER NOT NULL,"
	"  in_private4_packets INTEGER NOT NULL,"
	"  out_public6_bytes INTEGER NOT NULL,"
	"  out_public6_packets INTEGER NOT NULL,"
	"  out_private6_bytes INTEGER NOT NULL,"
	"  out_private6_packets INTEGER NOT NULL,"
	"  in_public6_bytes INTEGER NOT NULL,"
	"  in_public6_packets INTEGER NOT NULL,"
	"  in_private6_bytes INTEGER NOT NULL,"
	"  in_private6_packets INTEGER NOT NULL,"
	"  PRIMARY KEY (instance_id, kind, start)"
	") STRICT, WITHOUT ROWID;"
	/* The reading of each interface that its sums were derived from last. */
	"CREATE TABLE usage_marks ("
	"  instance_id TEXT NOT NULL,"
	"  nic INTEGER NOT NULL,"
	"  source TEXT NOT NULL," /* which table's: usage_source() */
	"  out_public4_bytes INTEGER NOT NULL,"
	"  out_public4_packets INTEGER NOT NULL,"
	"  out_private4_bytes INTEGER NOT NULL,"
	"  out_private4_packets INTEGER NOT NULL,"
	"  in_public4_bytes INTEGER NOT NULL,"
	"  in_public4_packets INTEGER NOT NULL,"
	"  in_private4_bytes INTEGER NOT NULL,"
	"  in_private4_packets INTEGER NOT NULL,"
	"  out_public6_bytes INTEGER NOT NULL,"
	"  out_public6_packets INTEGER NOT NULL,"
	"  out_private6_bytes INTEGER NOT NULL,"
	"  out_private6_packets INTEGER NOT NULL,"
	"  in_public6_bytes INTEGER NOT NULL,"
	"  in_public6_packets INTEGER NOT NULL,"
	"  in_private6_bytes INTEGER NOT NULL,"
	"  in_private6_packets INTEGER NOT NULL,"
	"  PRIMARY KEY (instance_id, nic)"
	") STRICT, WITHOUT ROWID;"
	"ALTER TABLE instances ADD COLUMN suspend_by INTEGER NOT NULL DEFAULT 0;",
};
