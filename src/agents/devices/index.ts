/** The door of the devices of a node. */
export { createDevices, type Devices, type Given } from './devices.ts';
export { DeviceError } from './error.ts';
