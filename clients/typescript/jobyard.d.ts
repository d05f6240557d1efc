// Generated from the yard's OpenAPI description by go test ./clients -run Generated -update. Do not edit.

export interface AuditOutputBody {
  entries: Array<Entry> | null;
}

export interface Batch {
  callback?: Request;
  id?: string;
  tasks: Array<Request>;
  webhook?: string;
}

export interface BatchInfo {
  callback?: string;
  counts: Record<string, number>;
  created_at: string;
  finished_at?: string;
  id: string;
  kinds?: Array<string> | null;
  total: number;
}

export interface BlobView {
  bytes: number;
  sha256: string;
}

export interface ConfigDiagnostic {
  file: string;
  message: string;
  path: string;
  severity: string;
}

export interface ConfigFile {
  changed: boolean;
  content: string;
  format: string;
  path: string;
}

export interface ConfigGenPayload {
  check?: boolean;
  existing?: Record<string, string>;
  format?: string;
  parameters?: any;
  template: string;
  version?: string;
}

export interface ConfigGenResult {
  diagnostics: Array<ConfigDiagnostic> | null;
  files: Array<ConfigFile> | null;
  resolved: Record<string, string>;
  valid: boolean;
}

export interface DeadCall {
  all?: boolean;
  before?: string;
  dry_run?: boolean;
  group?: string;
  kind?: string;
  limit?: number;
  queue?: string;
  rate?: number;
  reason?: string;
  since?: string;
}

export interface DeadGroup {
  count: number;
  example: string;
  fingerprint: string;
  first_at: string;
  kind: string;
  last_at: string;
  message: string;
  reason: string;
}

export interface DeadGroups {
  groups: Array<DeadGroup> | null;
  letters: number;
  partial?: boolean;
}

export interface DeadLetter {
  attempts: number;
  cached: string;
  crashes?: number;
  enqueued_at?: string;
  error?: Error;
  fingerprint: string;
  finished_at?: string;
  id: string;
  kind: string;
  node?: string;
  options?: Options;
  payload?: any;
  peak_memory_bytes?: number;
  progress?: Progress;
  queue: string;
  replayed?: Replayed;
  result?: any;
  started_at?: string;
  state: string;
  tasks?: number;
}

export interface DeadPage {
  letters: Array<DeadLetter> | null;
  next?: string;
  total: number;
}

export interface DeadSweep {
  done: number;
  dry_run?: boolean;
  gone?: number;
  groups?: Array<DeadGroup> | null;
  matched: number;
  refused?: number;
  started_at: string;
  stopped?: string;
}

export interface DeliveriesOutputBody {
  deliveries: Array<Delivery> | null;
}

export interface Delivery {
  attempts: number;
  body?: any;
  created_at: string;
  endpoint: string;
  error?: string;
  given_up_at?: string;
  id: string;
  next_at?: string;
  object: string;
  status?: number;
  traceparent?: string;
}

export interface DocumentChunk {
  id: string;
  section: string;
  text: string;
  tokens: number;
}

export interface DocumentCode {
  code: string;
  language: string;
  section: string;
}

export interface DocumentLink {
  href: string;
  text: string;
}

export interface DocumentParsePayload {
  collection?: string;
  content_type?: string;
  filename?: string;
  index?: boolean;
  source: DocumentSource;
  uri?: string;
}

export interface DocumentParseResult {
  chunks: Array<DocumentChunk> | null;
  code: Array<DocumentCode> | null;
  content_type: string;
  language: string;
  links: Array<DocumentLink> | null;
  markdown: string;
  metadata: Record<string, unknown>;
  sections: Array<DocumentSection> | null;
  sha256: string;
  tables: Array<DocumentTable> | null;
  text: string;
  title: string;
  token?: string;
  warnings: Array<DocumentWarning> | null;
  words: number;
}

export interface DocumentSection {
  anchor: string;
  heading: string;
  id: string;
  level: number;
  text: string;
}

export interface DocumentSource {
  base64?: string;
  blob?: string;
  text?: string;
  url?: string;
}

export interface DocumentTable {
  header: Array<string> | null;
  rows: Array<Array<string> | null> | null;
  section: string;
}

export interface DocumentWarning {
  code: string;
  detail: string;
}

export interface Endpoint {
  created_at: string;
  name: string;
  salt?: string;
  url: string;
}

export interface EndpointsOutputBody {
  endpoints: Array<Endpoint> | null;
}

export interface Entry {
  action: string;
  at: string;
  class: string;
  count?: number;
  key?: string;
  kind?: string;
  name?: string;
  object?: string;
  remote?: string;
  request_id?: string;
  status?: number;
}

export interface Error {
  fields?: Array<FieldError> | null;
  message: string;
  reason: "invalid" | "not_found" | "rejected" | "too_large" | "integrity" | "upstream" | "busy" | "timeout" | "cpu" | "oom" | "crash" | "panic" | "interrupted" | "canceled" | "expired" | "unknown";
  retryable: boolean;
}

export interface FieldError {
  message: string;
  path: string;
}

export interface HealthOutputBody {
  status: string;
}

export interface KindView {
  bulk_queue: string;
  kind: string;
  payload: any;
  payload_schema: string;
  queue: string;
  result: any;
  result_schema: string;
}

export interface KindsOutputBody {
  kinds: Array<KindView> | null;
}

export interface Options {
  at?: string;
  id?: string;
  in?: string;
  max_retry?: number;
  no_cache?: boolean;
  queue?: string;
  retention?: string;
  timeout?: string;
  webhook?: string;
}

export interface Progress {
  at?: string;
  done?: number;
  fraction?: number;
  message?: string;
  total?: number;
}

export interface QueueView {
  counts: Record<string, number>;
  failed: number;
  limit: number;
  oldest_seconds: number;
  paused: boolean;
  processed: number;
  queue: string;
  waiting: number;
}

export interface QueuesOutputBody {
  queues: Array<QueueView> | null;
}

export interface Replay {
  options?: ReplayOptions;
  payload?: any;
}

export interface ReplayOptions {
  max_retry?: number;
  retention?: string;
  timeout?: string;
}

export interface Replayed {
  at: string;
  reason?: string;
  times: number;
}

export type Request =
  | { kind: "search"; options?: Options; payload: SearchPayload }
  | { kind: "sdk_fetch"; options?: Options; payload: SDKFetchPayload }
  | { kind: "config_gen"; options?: Options; payload: ConfigGenPayload }
  | { kind: "document_parse"; options?: Options; payload: DocumentParsePayload };

export interface SDKDist {
  integrity: string;
  size: number;
  verified: boolean;
  verified_by?: string;
}

export interface SDKFetchPayload {
  ecosystem: string;
  include?: Array<string> | null;
  index?: boolean;
  name: string;
  version?: string;
}

export interface SDKFetchResult {
  api: Array<SDKSymbol> | null;
  api_truncated?: boolean;
  dependencies: Record<string, string>;
  deprecated: string | null;
  description: string;
  dist: SDKDist;
  ecosystem: string;
  engines: Record<string, string>;
  files?: Array<SDKFile> | null;
  homepage: string;
  license: string;
  name: string;
  peer_dependencies: Record<string, string>;
  published_at?: string;
  readme: string;
  repository: string;
  retracted?: Array<string> | null;
  sources: Array<SDKSource> | null;
  tags: Record<string, string>;
  token?: string;
  version: string;
  versions: Array<string> | null;
  warnings?: Array<string> | null;
}

export interface SDKFile {
  path: string;
  size: number;
}

export interface SDKSource {
  age_s: number;
  error?: string;
  etag?: string;
  ok: boolean;
  source: string;
}

export interface SDKSymbol {
  doc: string;
  kind: string;
  name: string;
  package: string;
  signature: string;
}

export interface SearchHit {
  anchor: string;
  collection: string;
  document: string;
  heading: string;
  id: string;
  score: number;
  snippet: string;
  title: string;
  url: string;
  why: Array<string> | null;
}

export interface SearchPayload {
  collection?: string;
  facets?: Array<string> | null;
  filters?: Record<string, Array<string> | null>;
  fuzzy?: string;
  limit?: number;
  min_token?: string;
  offset?: number;
  query: string;
}

export interface SearchResult {
  did_you_mean?: string;
  facets?: Record<string, Record<string, number>>;
  hits: Array<SearchHit> | null;
  stale: boolean;
  token: string;
  took_ms: number;
  total: number;
}

export interface Task {
  attempts: number;
  cached: string;
  enqueued_at?: string;
  error?: Error;
  finished_at?: string;
  id: string;
  kind: string;
  node?: string;
  peak_memory_bytes?: number;
  progress?: Progress;
  queue: string;
  replayed?: Replayed;
  result?: any;
  started_at?: string;
  state: "pending" | "scheduled" | "active" | "retry" | "completed" | "archived" | "canceled";
}

export interface Field { location: string; message: string }
export class Problem extends Error { status: number; detail: string; fields: Field[]; requestId?: string; retryAfter?: number }
export class TaskError extends Error { task: Task }
export interface Call { signal?: AbortSignal }

export class Jobyard {
  constructor(config: { url: string; key?: string; patience?: number; timeout?: number; fetch?: typeof fetch });
  /** The task once it is final. */
  wait(id: string, call?: Call): Promise<Task>;
  /** Hands a task over and gives its result; a task that failed throws TaskError. */
  do(kind: "search", payload: SearchPayload, options?: Options, call?: Call): Promise<SearchResult>;
  do(kind: "sdk_fetch", payload: SDKFetchPayload, options?: Options, call?: Call): Promise<SDKFetchResult>;
  do(kind: "config_gen", payload: ConfigGenPayload, options?: Options, call?: Call): Promise<ConfigGenResult>;
  do(kind: "document_parse", payload: DocumentParsePayload, options?: Options, call?: Call): Promise<DocumentParseResult>;
  /** Is this process alive? */
  healthz(input?: {  }, call?: Call): Promise<HealthOutputBody>;
  /** Can this process accept tasks? */
  readyz(input?: {  }, call?: Call): Promise<HealthOutputBody>;
  /** Read the audit log */
  getAudit(input?: { limit?: number; class_?: "changes" | "handed" | "refusals" }, call?: Call): Promise<AuditOutputBody>;
  /** Hand over many tasks as one */
  postBatch(input: { idempotencyKey?: string; body: Batch }, call?: Call): Promise<BatchInfo>;
  /** Cancel a batch */
  deleteBatch(input: { id: string }, call?: Call): Promise<BatchInfo>;
  /** Look at a batch */
  getBatch(input: { id: string; wait?: string }, call?: Call): Promise<BatchInfo>;
  /** Stream a batch's tasks */
  getBatchResults(input: { id: string; from?: number }, call?: Call): AsyncGenerator<Task>;
  /** Upload a document */
  postBlob(input: { body: Uint8Array }, call?: Call): Promise<BlobView>;
  /** Get a blob's bytes */
  getBlob(input: { sha: string }, call?: Call): Promise<Uint8Array>;
  /** List dead letters */
  getDead(input?: { kind?: string; queue?: string; reason?: string; group?: string; since?: string; before?: string; limit?: string; after?: string }, call?: Call): Promise<DeadPage>;
  /** Delete many dead letters for good */
  deleteDead(input: { body: DeadCall }, call?: Call): Promise<DeadSweep>;
  /** Group dead letters by what failed alike */
  getDeadGroups(input?: { kind?: string; queue?: string; reason?: string; group?: string; since?: string; before?: string }, call?: Call): Promise<DeadGroups>;
  /** Replay many dead letters */
  replayDead(input: { body: DeadCall }, call?: Call): Promise<DeadSweep>;
  /** Delete a dead letter for good */
  deleteDeadLetter(input: { id: string }, call?: Call): Promise<void>;
  /** Look at a dead letter */
  getDeadLetter(input: { id: string }, call?: Call): Promise<DeadLetter>;
  /** Replay a dead letter */
  replayDeadLetter(input: { id: string; body?: Replay }, call?: Call): Promise<Task>;
  /** List the kinds of work */
  getKinds(input?: {  }, call?: Call): Promise<KindsOutputBody>;
  /** Look at the queues */
  getQueues(input?: {  }, call?: Call): Promise<QueuesOutputBody>;
  /** Hand over a task */
  postTask(input: { idempotencyKey?: string; wait?: string; body: Request }, call?: Call): Promise<Task>;
  /** Cancel a task */
  deleteTask(input: { id: string }, call?: Call): Promise<Task>;
  /** Look at a task */
  getTask(input: { id: string; wait?: string }, call?: Call): Promise<Task>;
  /** Watch a task */
  getEvents(input: { id: string; lastEventId?: string }, call?: Call): AsyncGenerator<Task>;
  /** Get a task's result alone */
  getResult(input: { id: string; wait?: string; ifNoneMatch?: string }, call?: Call): Promise<any>;
  /** List the webhooks' endpoints */
  getWebhooks(input?: {  }, call?: Call): Promise<EndpointsOutputBody>;
  /** List calls of webhooks */
  getDeliveries(input?: { dead?: boolean; limit?: number }, call?: Call): Promise<DeliveriesOutputBody>;
  /** Make a call again */
  retryDelivery(input: { id: string }, call?: Call): Promise<Delivery>;
}
