/**
 * devices: the devices of one machine, made from its configuration and wired to PLIC, console,
 * memory and time.
 *
 * Owns    the device objects, the bus, the hub, the machine's seeded entropy.
 * Used by machine.ts.
 * Holds   the set is the same for the same configuration, so that sections and digests of equal
 *         machines line up.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import { MachineDisk } from "../device/block/disk.ts";
import type { Device } from "../device/contract.ts";
import { makeCustom } from "../device/custom.ts";
import type { DeviceTreeNode } from "../device/device-tree.ts";
import { Finisher } from "../device/finisher.ts";
import { GenerationId } from "../device/genid.ts";
import { Plic } from "../device/plic.ts";
import { Rtc } from "../device/rtc.ts";
import { Uart } from "../device/uart.ts";
import { VirtioBlk } from "../device/virtio/blk.ts";
import { VirtioConsole } from "../device/virtio/console.ts";
import { VirtioRng } from "../device/virtio/rng.ts";
import { AGENT_PORT_NAME } from "../guest/agent-protocol.ts";
import type { Platform } from "../platform/contract.ts";
import { AgentChannel } from "./agent.ts";
import { Bus } from "./bus.ts";
import { TICKS_PER_MS } from "./clock.ts";
import type { ResolvedConfig } from "./config.ts";
import type { ConsoleEnd } from "./console.ts";
import type { DigestExtras } from "./digest.ts";
import { DeviceHub } from "./hub.ts";
import { SeededRandom } from "./random.ts";
import type { HubFacts } from "./sections.ts";

/** Everything on one machine's bus. */
export class DeviceSet {
  readonly bus: Bus;
  readonly hub: DeviceHub;
  readonly #random: SeededRandom;
  readonly #console: ConsoleEnd;
  readonly #uart: Uart;
  readonly #plic: Plic;
  readonly #genid = new GenerationId();
  /** By slot. One that is not written to is as it was given. */
  readonly disks: readonly (MachineDisk | BlockBackend)[];
  /** The channel to the guest's agent, for machines that have one. */
  readonly agent: AgentChannel | null;

  /** `wake` is called when there is something for the agent. */
  constructor(
    config: ResolvedConfig,
    view: MachineView,
    console: ConsoleEnd,
    platform: Platform,
    wake: () => void,
  ) {
    this.agent = config.agent ? new AgentChannel(wake) : null;
    this.#random = new SeededRandom(config.seed, "entropy");
    this.#console = console;
    const isVirtual = config.clock === "virtual";
    this.hub = new DeviceHub({
      memory: view.memory,
      now: () => view.ticks,
      wallMs: () =>
        isVirtual ? config.epochMs + Math.floor(view.ticks / TICKS_PER_MS) : platform.wallMs(),
      entropy: (count) => (isVirtual ? this.#random.bytes(count) : platform.entropy(count)),
      setIrq: (irq, isHigh) => this.#plic.setLevel(irq, isHigh),
      absentPage: () => view.exitPage,
    });
    this.#uart = new Uart({
      output: (byte) => console.put(byte),
      onInputRoom: () => console.pump(),
    });
    console.connect(this.#uart);
    console.connectHold((work) => this.hub.hold(work));
    this.#plic = new Plic({
      harts: config.harts,
      onLines: (hart, lines) => view.setExternal(hart, lines),
    });
    const devices: Device[] = [new Finisher(), new Rtc(), this.#genid, this.#plic, this.#uart];
    // disks first, so that the first disk is slot 0
    let slot = 0;
    // that of a machine which moved within its host comes with what it knows
    const isAsItIs = (disk: BlockBackend) => disk.isReadOnly || disk instanceof MachineDisk;
    this.disks = config.disks.map((disk) => (isAsItIs(disk) ? disk : new MachineDisk(disk)));
    for (const backend of this.disks) devices.push(new VirtioBlk({ slot: slot++, backend }));
    devices.push(new VirtioRng({ slot: slot++ }));
    if (config.consoleDevice === "virtio") devices.push(connectVirtio(console, slot++));
    if (this.agent !== null) devices.push(connectAgent(this.agent, slot));
    for (const custom of config.devices) devices.push(makeCustom(custom));
    this.bus = new Bus(devices);
    for (const device of this.bus.devices) this.hub.attach(device);
  }

  /** The nodes for /soc, by address. */
  nodes(): DeviceTreeNode[] {
    return this.bus.devices.map((device) => device.node()).filter((node) => node !== null);
  }

  /** Console input for the SBI. */
  takeConsole(most: number): Uint8Array {
    const waiting = this.#uart.takeInput(most);
    return waiting.length > 0 ? waiting : this.#console.take(most);
  }

  /** Frames are free again, or pages have come. */
  retry(): void {
    this.hub.retry(this.bus.devices);
  }

  /** Every device back to power-on state. */
  reset(): void {
    this.hub.reset();
    for (const device of this.bus.devices) device.reset();
  }

  /** What of the devices is neither theirs nor the core's. */
  hubFacts(behindTicks: number): HubFacts {
    const { seed, counter } = this.#random;
    const entries = this.bus.devices.map((device) => this.hub.entryOf(device));
    const { request } = this.hub;
    return { seed, entropyCounter: counter, behindTicks, request, entries };
  }

  /** The order in which sections are taken: the controller last, when every line is as it was. */
  get restoreOrder(): Device[] {
    return [...this.bus.devices.filter((device) => device !== this.#plic), this.#plic];
  }

  /** Takes over what hubFacts gave. */
  takeHub({ seed, entropyCounter, request, entries }: HubFacts): void {
    this.#random.begin(seed, entropyCounter);
    this.hub.restore(request, this.bus.devices, entries);
  }

  /** This machine is a copy: other random numbers from here on, and the guest is told. */
  renewIdentity(seed: bigint): void {
    this.#random.begin(seed, 0);
    this.#genid.renew();
  }

  /** What the digest needs beside the devices' sections. */
  digestExtras(): DigestExtras {
    return {
      entropyCounter: this.#random.counter,
      alarmOf: (device) => this.hub.alarmOf(device),
    };
  }
}

/** A virtio port for the guest's agent. */
function connectAgent(agent: AgentChannel, slot: number): VirtioConsole {
  const device = new VirtioConsole({
    slot,
    port: AGENT_PORT_NAME,
    output: (bytes) => agent.take(bytes),
    onInputRoom: () => agent.pump(),
    onOpen: () => agent.opened(),
  });
  agent.connect(device);
  return device;
}

/** A virtio console that takes the input in the UART's place. */
function connectVirtio(console: ConsoleEnd, slot: number): VirtioConsole {
  const device = new VirtioConsole({
    slot,
    output: (bytes) => console.putAll(bytes),
    onInputRoom: () => console.pump(),
  });
  console.connect(device);
  return device;
}
