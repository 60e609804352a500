/*
 * virtual: a small kernel that runs a test in U-mode with every page coming in on demand.
 *
 * Each user page is copied to a frame at its first fault, and its entry is then valid without A and
 * D: a machine that traps for them (Svade) faults again for each, one that sets them itself
 * (Svadu, -DHARDWARE_AD) does not. When the test ends, each page must have A, and D if it changed.
 *
 *   user address 0x1000 ... 0x3f000   image address - 0x80000000, frames in shuffled order
 *   kernel address -2 MiB ...         one 2 MiB page over the image
 *
 * -DLEVELS=3, 4 or 5 chooses Sv39, Sv48 or Sv57; -DSEED=n the order of the frames.
 */
typedef unsigned long word;

#ifndef LEVELS
#define LEVELS 3
#endif
#ifndef SEED
#define SEED 1
#endif

#define IMAGE 0x80000000UL
#define PAGE 4096UL
#define PAGES 64
#define KERNEL (-0x200000UL)
#define V 1UL
#define R 2UL
#define W 4UL
#define X 8UL
#define U 16UL
#define A 64UL
#define D 128UL
#define SUM 0x40000UL
#define FAULT_FETCH 12
#define FAULT_LOAD 13
#define FAULT_STORE 15

#define csr_read(name) ({ word value_; asm volatile("csrr %0, " #name : "=r"(value_)); value_; })
#define csr_write(name, value) asm volatile("csrw " #name ", %0" ::"r"((word)(value)) : "memory")
#define csr_set(name, value) asm volatile("csrs " #name ", %0" ::"r"((word)(value)) : "memory")
#define csr_clear(name, value) asm volatile("csrc " #name ", %0" ::"r"((word)(value)) : "memory")

struct frame {
  word x[32];
  word pc, status, value, cause;
};

extern volatile word tohost, fromhost;
extern char supervisor_entry[];
void return_to_user(struct frame *frame) __attribute__((noreturn));

/* Counted for the harness: faults for a missing page, for A alone, and for D alone. */
volatile word faults_page, faults_accessed, faults_dirty;

static word tables[LEVELS + 1][512] __attribute__((aligned(4096)));
static unsigned char frames[PAGES][PAGE] __attribute__((aligned(4096)));
static unsigned char order[PAGES];
static unsigned char frame_of[PAGES];
static word frames_used;

/* Tables that user and kernel share: levels from the root down; the last two are the user's. */
#define ROOT tables[0]
#define USER_LEAF tables[LEVELS - 1]
#define KERNEL_MIDDLE tables[LEVELS]

static void put(word value) {
  while (tohost) fromhost = 0;
  tohost = value;
}

static void say(const char *text) {
  for (; *text; text++) put(0x0101000000000000UL | (unsigned char)*text);
}

static void __attribute__((noreturn)) terminate(word code) {
  put(code);
  for (;;) {
  }
}

static void __attribute__((noreturn)) panic(const char *text) {
  say("kernel: ");
  say(text);
  say("\n");
  terminate(1337 * 2 + 1);
}

void machine_panic(word cause, word pc, word value) {
  (void)cause;
  (void)pc;
  (void)value;
  panic("trap to M-mode");
}

static void flush(word address) { asm volatile("sfence.vma %0" ::"r"(address) : "memory"); }

static void copy(void *target, const void *source) {
  volatile word *to = target;
  const word *from = source;
  for (word at = 0; at < PAGE / 8; at++) to[at] = from[at];
}

static int differs(const void *left, const void *right) {
  const volatile word *a = left;
  const word *b = right;
  for (word at = 0; at < PAGE / 8; at++)
    if (a[at] != b[at]) return 1;
  return 0;
}

/* Kernel address of the image's copy of a user page. */
static void *original(word address) { return (void *)(address + KERNEL); }

static void bring_in(word address) {
  if (frames_used == PAGES) panic("out of frames");
  word number = order[frames_used++];
  word physical = (word)frames[number] - KERNEL + IMAGE;
  word *entry = &USER_LEAF[address / PAGE];
  word bits = (physical >> 2) | V | U | R | W | X;
  frame_of[address / PAGE] = number;
  *entry = bits | A | D;
  flush(address);
  csr_set(sstatus, SUM);
  copy((void *)address, original(address));
  csr_clear(sstatus, SUM);
  *entry = bits;
  flush(address);
  asm volatile("fence.i" ::: "memory");
  faults_page++;
}

static void handle_fault(word address, word cause) {
  if (address < PAGE || address >= PAGES * PAGE) panic("fault outside the program");
  address &= -PAGE;
  word *entry = &USER_LEAF[address / PAGE];
  if (*entry == 0) {
    bring_in(address);
  } else if (!(*entry & A)) {
    *entry |= A;
    flush(address);
    faults_accessed++;
  } else {
    if ((*entry & D) || cause != FAULT_STORE) panic("fault without a reason");
    *entry |= D;
    flush(address);
    faults_dirty++;
  }
}

/* Writes changed pages back, as a pager would, and checks what the machine said of them. */
static void evict(word address) {
  word *entry = &USER_LEAF[address / PAGE];
  if (*entry == 0) return;
  if (!(*entry & A)) panic("page in use without A");
  csr_set(sstatus, SUM);
  if (differs((void *)address, original(address))) {
    if (!(*entry & D)) panic("changed page without D");
    copy(original(address), (void *)address);
  }
  csr_clear(sstatus, SUM);
  if (differs(frames[frame_of[address / PAGE]], original(address)))
    panic("frame and page differ");
  *entry = 0;
  flush(address);
}

void handle_trap(struct frame *frame) {
  if (frame->cause == 8) {
    for (word page = 1; page < PAGES; page++) evict(page * PAGE);
    terminate(frame->x[10]);
  }
  if (frame->cause != FAULT_FETCH && frame->cause != FAULT_LOAD && frame->cause != FAULT_STORE)
    panic("unexpected trap");
  handle_fault(frame->value, frame->cause);
}

static word next_table(const word *table) { return ((word)table >> 2) | V; }

void virtual_boot(word entry) {
  /* User: a path of tables down to one leaf. Kernel: the last entry of each level, a megapage. */
  for (word level = 0; level + 1 < LEVELS; level++)
    tables[level][0] = next_table(tables[level + 1]);
  ROOT[511] = next_table(KERNEL_MIDDLE);
#if LEVELS > 3
  static word upper[LEVELS - 3][512] __attribute__((aligned(4096)));
  ROOT[511] = next_table(upper[0]);
  for (word level = 0; level + 1 < LEVELS - 3; level++)
    upper[level][511] = next_table(upper[level + 1]);
  upper[LEVELS - 4][511] = next_table(KERNEL_MIDDLE);
#endif
  KERNEL_MIDDLE[511] = (IMAGE >> 2) | V | R | W | X | A | D;
  csr_write(pmpaddr0, -1UL);
  csr_write(pmpcfg0, 0x1f);
  csr_write(satp, ((word)(LEVELS + 5) << 60) | ((word)ROOT >> 12));
  if (csr_read(satp) >> 60 != LEVELS + 5) panic("satp mode refused");
  asm volatile("sfence.vma" ::: "memory");
#ifdef HARDWARE_AD
  csr_set(0x30a, 1UL << 61);
#endif
  csr_write(stvec, (word)supervisor_entry - IMAGE + KERNEL);
  word top;
  asm("la %0, kernel_stack_end" : "=r"(top));
  csr_write(sscratch, top - IMAGE + KERNEL);
  csr_write(medeleg, (1 << 8) | (1 << FAULT_FETCH) | (1 << FAULT_LOAD) | (1 << FAULT_STORE));
  csr_write(mstatus, 0x6000); /* FS dirty, SPP = U */
  csr_write(mie, 0);

  word random = SEED * 2654435761UL + 1;
  for (word at = 0; at < PAGES; at++) order[at] = at;
  for (word at = PAGES - 1; at > 0; at--) {
    random = random * 6364136223846793005UL + 1442695040888963407UL;
    word other = (random >> 33) % (at + 1);
    unsigned char kept = order[at];
    order[at] = order[other];
    order[other] = kept;
  }
  static struct frame first;
  first.pc = entry - IMAGE;
  return_to_user(&first);
}
