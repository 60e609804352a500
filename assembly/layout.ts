/**
 * layout: every number that the data plane (AssemblyScript) and the control plane (TypeScript)
 * share.
 *
 * Compiled by asc and by tsc, so it imports nothing, and every constant is below 2^31 (a larger
 * literal would be an i64 here and a plain number there).
 *
 *   arena   0 ─ RUN block ─ header ─ static data ─ slot TLBs ─ machines ─ frame table
 *           ─ decode chunks ─ frame pool
 */

// ---- frames and guest pages ----
export const FRAME_SHIFT = 12;
export const FRAME_BYTES = 4096;
/** Leaf of the stage-2 table: 512 entries of 8 bytes, one frame. */
export const LEAF_ENTRIES = 512;
/** Root of the stage-2 table: 1024 slots of 4 bytes, one frame; so RAM is at most 2 GiB. */
export const ROOT_SLOTS = 1024;
export const RAM_PAGES_MAX = 524288;
/** Stage-2 entry = kind in bits 0-3, frame number in bits 32-63. */
export const KIND_ZERO = 0;
export const KIND_FRAME = 1;
export const KIND_SWAP_MEM = 2;
export const KIND_SWAP_FILE = 3;
export const KIND_REMOTE = 4;
export const KIND_BASE = 5;
export const KINDS = 6;

/**
 * What can happen to a page of the stage-2 table. Its bytes are read or written; they arrive from
 * where they were (as zeros, or in a frame); they leave for elsewhere.
 */
export const EVENT_READ = 0;
export const EVENT_WRITE = 1;
export const EVENT_ARRIVE = 2;
export const EVENT_ARRIVE_ZERO = 3;
export const EVENT_LEAVE_SWAP_MEM = 4;
export const EVENT_LEAVE_SWAP_FILE = 5;
export const EVENT_LEAVE_REMOTE = 6;
export const EVENT_LEAVE_BASE = 7;
export const EVENTS = 8;
/** Beside the kinds: the page has to arrive first; the event cannot happen. */
export const NEXT_ABSENT = 6;
export const NEXT_NEVER = 7;
/**
 * The transition table, a row a kind: hexadecimal digit n (lowest first) is what event n makes of
 * it: a kind, NEXT_ABSENT or NEXT_NEVER.
 */
export const TRANSITIONS_ZERO = 0x54777710;
export const TRANSITIONS_FRAME = 0x54327711;
export const TRANSITIONS_SWAP_MEM = 0x77370166;
export const TRANSITIONS_SWAP_FILE = 0x77770166;
export const TRANSITIONS_REMOTE = 0x77770166;
export const TRANSITIONS_BASE = 0x77770166;

/** Roots, logs and the like hand page numbers over here, BATCH_MAX u32 at most. */
export const BATCH = 10240;
export const BATCH_MAX = 512;
/** Pages that rootSurvey takes at a time. */
export const SURVEY_MAX = 64;
/**
 * What pageHash wants of a key: as many bytes as a page, and 32 for each of its passes but one.
 */
export const HASH_KEY_BYTES = 4192;
export const HASH_BYTES = 16;
/** Bytes to work in: of deltaEncode and of lz4Compress. */
export const DELTA_MAP_BYTES = 512;
export const LZ4_TABLE_BYTES = 4096;
/** The longest piece that lz4Compress takes. */
export const LZ4_PIECE_BYTES_MAX = 65536;
/** What deltaEncode returns, as an i32, when the delta is longer than it may be. */
export const DELTA_TOO_LONG = -1;
/** Answers of calls that return an address, or why there is none. */
export const NO_FRAME = 0;
export const NOT_HERE = 1;

// ---- RUN block: the running hart's state, at a fixed address; hart blocks look the same ----
export const RUN = 4096;
export const HART_BYTES = 1280;
export const HARTS_MAX = 8;
/** x0 ... x31, u64 each. x0 stays 0. */
export const HART_X = 0;
/** f0 ... f31, u64 each, NaN-boxed. */
export const HART_F = 256;
export const HART_PC = 512;
/** 0 U, 1 S, 3 M. */
export const HART_PRIV = 520;
/** Accrued exceptions: NX 1, UF 2, OF 4, DZ 8, NV 16. */
export const HART_FFLAGS = 524;
/** Dynamic rounding mode 0-7 as written (5-7 reserved). */
export const HART_FRM = 528;
/**
 * Derived: 1 when FS is Dirty, frm is RNE and NX is already set, so that plain host arithmetic is
 * exact enough.
 */
export const HART_FP_FAST = 532;
export const HART_RETIRED = 536;
export const HART_QUANTUM_POSITION = 544;
/** 1 while the hart waits in WFI. */
export const HART_WAITING = 548;
/** Physical address of the LR reservation (8-byte granule), or -1. */
export const HART_RESERVATION = 552;
export const HART_MSTATUS = 560;
export const HART_MEDELEG = 568;
export const HART_MIDELEG = 576;
export const HART_MIE = 584;
/** Bits of mip that software or the SBI sets (SSIP, STIP, SEIP). */
export const HART_MIP_SOFT = 592;
export const HART_MTVEC = 600;
export const HART_MCOUNTEREN = 608;
export const HART_MCOUNTINHIBIT = 616;
export const HART_MSCRATCH = 624;
export const HART_MEPC = 632;
export const HART_MCAUSE = 640;
export const HART_MTVAL = 648;
export const HART_MENVCFG = 656;
export const HART_STVEC = 664;
export const HART_SCOUNTEREN = 672;
export const HART_SENVCFG = 680;
export const HART_SSCRATCH = 688;
export const HART_SEPC = 696;
export const HART_SCAUSE = 704;
export const HART_STVAL = 712;
export const HART_SATP = 720;
export const HART_STIMECMP = 728;
/** CLINT: compare register and software interrupt bit. */
export const HART_MTIMECMP = 736;
export const HART_MSIP = 744;
/** PLIC lines: bit 11 MEIP, bit 9 SEIP. */
export const HART_EXTERNAL = 748;
/** mcycle = slots used by the hart + this; minstret = retired + this. */
export const HART_CYCLE_OFFSET = 752;
export const HART_INSTRET_OFFSET = 760;
export const HART_ID = 768;
/** HSM: 0 started, 1 stopped, 2 start pending, 3 suspended. */
export const HART_HSM = 772;
/** Slots used in a row without anything retired (trap loops end the machine). */
export const HART_BARREN = 776;
export const HART_SLOTS = 784;
/** 16 configuration bytes, then 16 addresses. */
export const HART_PMPCFG = 792;
export const HART_PMPADDR = 808;
/** Derived: 1 when any PMP entry can restrict something. */
export const HART_PMP_ACTIVE = 936;
/** Everything from here on is derived or transient and outside the digest. */
export const HART_DIGEST_BYTES = 944;
export const HART_DERIVED = 944;

// ---- exits ----
/** The budget of slots is used up, or as much host work was done as MACHINE_WORK_MAX allows. */
export const EXIT_BUDGET = 0;
/** Every hart waits; the control plane decides between a time jump and waiting. */
export const EXIT_IDLE = 1;
/** A device register: see EXIT_* fields of the machine block; answer with machineMmioDone. */
export const EXIT_MMIO = 2;
/** An ECALL from S-mode for the built-in SBI; arguments in a0-a7 of the exiting hart. */
export const EXIT_SBI = 3;
/** The frame pool is empty: the same instruction is executed again on the next run. */
export const EXIT_MEMORY = 4;
/** A hart did nothing but trap for BARREN_MAX slots. */
export const EXIT_TRAP_LOOP = 5;
/** A store hit the HTIF tohost doubleword. */
export const EXIT_HTIF = 6;
/** The debugger is to look: MACHINE_STOP says why, MACHINE_STOP_* where. */
export const EXIT_BREAK = 7;
/** A page that is not here is needed: MACHINE_EXIT_PAGE; the instruction is executed again. */
export const EXIT_PAGE = 8;
export const BARREN_MAX = 1000000;

// ---- derived and transient part of the RUN block ----
/** Address of the machine block that the running hart belongs to. */
export const HART_MACHINE = 944;
export const HART_TRAP_CAUSE = 952;
export const HART_TRAP_VALUE = 960;
/** Set by CSR and system code for the run loop: CHANGED_* bits. */
export const HART_CHANGED = 968;
/** Result of csrRead. */
export const HART_CSR_VALUE = 976;
/** Flags raised by the soft-float routines before they are accrued. */
export const HART_SOFT_FLAGS = 984;
/** Privilege, SUM, MXR, MPRV or satp changed: choose the TLB again. */
export const CHANGED_CONTEXT = 1;
/** satp or PMP written: drop every translation of this hart. */
export const CHANGED_FLUSH = 2;

// ---- machine block ----
export const MACHINE_BYTES = 2048;
export const MACHINE_HARTS = 0;
export const MACHINE_RAM_PAGES = 4;
/** Frame number of the stage-2 root. */
export const MACHINE_ROOT = 8;
export const MACHINE_QUANTUM = 12;
/** Index of the hart whose turn it is. */
export const MACHINE_TURN = 16;
/** 1: ECALL from S-mode leaves with EXIT_SBI. */
export const MACHINE_SBI = 20;
/** u64: slots used by all harts; machine time derives from it. */
export const MACHINE_SLOTS = 24;
/** u64: instructions retired over all harts. */
export const MACHINE_RETIRED = 32;
/** u64 ticks: sum of the idle jumps. */
export const MACHINE_IDLE_TICKS = 40;
/** u32: 0 virtual, 1 host. */
export const MACHINE_CLOCK = 48;
/** u32: highest mode that satp takes: 8 Sv39, 9 Sv48, 10 Sv57. */
export const MACHINE_SATP_MAX = 52;
/**
 * Host clock: ticks at the start of the slice (u64), slots then (u64), ticks per slot in 1/65536
 * (u32), ticks at most (u32).
 */
export const MACHINE_HOST_TICKS = 56;
export const MACHINE_HOST_SLOTS = 64;
export const MACHINE_HOST_RATE = 72;
export const MACHINE_HOST_SPAN = 76;
/** u64 physical address of HTIF tohost, 0 for none. */
export const MACHINE_TOHOST = 80;
/** Details of the last exit. */
export const MACHINE_EXIT_HART = 88;
export const MACHINE_EXIT_SIZE = 92;
export const MACHINE_EXIT_ADDRESS = 96;
export const MACHINE_EXIT_VALUE = 104;
/** 0 load, 1 store. */
export const MACHINE_EXIT_WRITE = 112;
/** u64 ticks of the earliest armed timer when every hart waits, or -1. */
export const MACHINE_IDLE_UNTIL = 120;
/** Bumped whenever every translation of the machine is dropped. */
export const MACHINE_FLUSHES = 132;
/** Addresses (u32) of up to 8 hart blocks. */
export const MACHINE_HART_BLOCKS = 136;
/**
 * Counters for --stats and benches, u64 each: slow-path exits, TLB fills, TLB flushes, pages
 * decoded, traps.
 */
export const MACHINE_COUNT_SLOW = 176;
export const MACHINE_COUNT_FILLS = 184;
export const MACHINE_COUNT_FLUSHES = 192;
export const MACHINE_COUNT_DECODES = 200;
export const MACHINE_COUNT_TRAPS = 208;
/**
 * u32: host work (ARENA_WORK) after which a run ends early with EXIT_BUDGET, so that a guest which
 * makes every instruction cost a flush cannot hold the host's thread. All ones: no limit.
 */
export const MACHINE_WORK_MAX = 248;
/** u32: 0, or 1 + the turns that have ended since half an HTIF command was stored. */
export const MACHINE_HTIF_HALF = 252;
/** Result of machineDigestPages: 32 bytes. */
export const MACHINE_DIGEST = 216;


// ---- debugger's part of the machine block (machineDebugApply after the tables were written) ----
/** Breakpoints and watchpoints in the tables. */
export const MACHINE_BREAKS = 256;
export const MACHINE_WATCHES = 260;
/** Number + 1 of the hart that stops after its next slot, 0 for none; its slots when that began. */
export const MACHINE_STEP = 264;
export const MACHINE_STEP_SLOTS = 272;
/** 1: an EBREAK stops before it traps. */
export const MACHINE_CATCH = 268;
/** Why the debugger is to look (STOP_*), which hart, and at a watchpoint what was accessed. */
export const MACHINE_STOP = 280;
export const MACHINE_STOP_HART = 284;
export const MACHINE_STOP_ADDRESS = 288;
/** WATCH_READ or WATCH_WRITE, and the watchpoint's place in the table. */
export const MACHINE_STOP_ACCESS = 296;
export const MACHINE_STOP_INDEX = 300;
/** Results of hartCsrRead and tlbEntryRead. */
export const MACHINE_CSR_VALUE = 304;
export const MACHINE_TLB_PAGE = 312;

// ---- dirty logs ----
/** Bit n: log n is open. Its header's frame number, u32 each. */
export const MACHINE_LOGS = 320;
export const MACHINE_LOG_FRAMES = 324;
export const LOGS_MAX = 8;
/** RAM page that EXIT_PAGE asks for. */
export const MACHINE_EXIT_PAGE = 356;
/** A log's header: a summary word and a window of the bitmap (its frame) per 32768 pages. */
export const LOG_SUMMARIES = 0;
export const LOG_WINDOWS = 128;
export const LOG_WINDOW_SHIFT = 15;
export const LOG_WINDOW_WORDS = 512;

/** Virtual addresses (u64) of up to BREAKS_MAX breakpoints. */
export const MACHINE_BREAK_TABLE = 512;
export const BREAKS_MAX = 128;
/** Up to WATCHES_MAX watchpoints: virtual address u64, length in bytes u32, WATCH_* bits u32. */
export const MACHINE_WATCH_TABLE = 1536;
export const WATCHES_MAX = 32;
export const WATCH_BYTES = 16;
export const WATCH_READ = 1;
export const WATCH_WRITE = 2;
export const STOP_NONE = 0;
/** Before the instruction at a breakpoint. */
export const STOP_BREAK = 1;
/** Behind an instruction that touched a watchpoint. */
export const STOP_WATCH = 2;
/** The hart of MACHINE_STEP has used a slot. */
export const STOP_STEP = 3;
/** Before an EBREAK, with MACHINE_CATCH. */
export const STOP_EBREAK = 4;

// ---- run-loop part of the RUN block (transient: rebuilt from pc) ----
/** Entry pointer, entry limit, chunk, page of pc; TLB arrays of the current regime. */
export const HART_IP = 1000;
export const HART_LIMIT = 1004;
export const HART_CHUNK = 1008;
export const HART_TLB = 1012;
export const HART_PAGE = 1016;
export const HART_ITLB = 1024;
export const HART_REGIME = 1028;
/** Result of a slow load, and the physical address of the last translation. */
export const HART_VALUE = 1032;
export const HART_PHYSICAL = 1040;
/**
 * 0: FS is Off; 1: on, so that stores may go ahead; 2: Dirty and frm is legal, so that moves may
 * too.
 */
export const HART_FP_ON = 1048;
/** An MMIO load under way: its operation, rd, and the pc behind it. */
export const HART_MMIO_OP = 1052;
export const HART_MMIO_RD = 1056;
export const HART_NEXT_PC = 1064;
/** MXR as the cached translations assume it; effective privilege of data accesses. */
export const HART_MXR = 1072;
export const HART_DATA_PRIV = 1076;
/**
 * The breakpoint at this pc is passed over while the hart has used this number of slots - 1: the
 * stop before it has been told.
 */
export const HART_PASS_PC = 1080;
export const HART_PASS_SLOTS = 1088;
/**
 * Watchpoint (place + 1, or 0) that the instruction under way touched; how (WATCH_*), and where.
 */
export const HART_WATCH = 1096;
export const HART_WATCH_ACCESS = 1100;
export const HART_WATCH_ADDRESS = 1104;
