package wire

// Limits on what is read from outside. A message beyond one of them is refused
// with ErrLimit; none of them is ever allocated in advance.
const (
	// MetaMax is the largest node metadata in bytes. memberlist refuses to send
	// more; a member with more could not exist in a cluster of real ones.
	MetaMax = 512

	// LabelMax is the longest label in bytes: its length travels in one byte.
	LabelMax = 255

	// MaxCompoundParts is the most parts of one compound: their number travels
	// in one byte.
	MaxCompoundParts = 255

	// MaxPartSize is the longest part of a compound in bytes: its length travels
	// in two.
	MaxPartSize = 1<<16 - 1

	// MaxNodes is the most members in one push/pull: memberlist's limit.
	MaxNodes = 1 << 20

	// MaxUserState is the most bytes of the layer's state in one push/pull:
	// memberlist's limit, which also bounds a sealed stream as a whole.
	MaxUserState = 20 << 20

	// MaxUserMessage is the longest user message on a stream: memberlist's limit.
	MaxUserMessage = 20 << 20

	// MaxStream is the longest stream message in bytes, plain or inflated:
	// memberlist's limit for an inflated one (the state twice over, for members
	// and user state). A plain one has no limit of its own there; a real
	// push/pull that fits one fits the other.
	MaxStream = 2 * MaxUserState

	// MaxInflated is how many bytes the compressed parts of one packet may grow
	// to, together. A sender compresses what would otherwise have been one
	// packet of at most 64 KiB, and only if that makes it smaller; the rest is room
	// for odd configurations. memberlist allows 40 MiB for each part, which lets
	// one packet cost as much as ten thousand.
	MaxInflated = 1 << 20

	// MaxPacketNesting is how deep compounds and compressed messages may lie in
	// one another in a packet. A sender makes two levels: compressed, compound.
	MaxPacketNesting = 4

	// maxDepth is how deep a value that is skipped may nest. No message nests
	// more than four deep; the rest is room for extensions.
	maxDepth = 32

	// MaxStatus is the most members in Serf's push/pull state (status times, left
	// members): as many as a push/pull can list.
	MaxStatus = MaxNodes

	// MaxEventSlots is the most Lamport times, empty ones included, in
	// Serf's push/pull state. Serf's ring has 512 slots unless configured.
	MaxEventSlots = 1 << 16

	// MaxStateEvents is the most user events in Serf's push/pull state, over all
	// Lamport times. Real ones share a Lamport time only by coincidence.
	MaxStateEvents = 1 << 16

	// MaxFilters is the most filters of one query. Serf's query of at most
	// 1 KiB has room for about sixty.
	MaxFilters = 256

	// MaxFilterNodes is the most names in one node filter: as many as a packet
	// of names of one byte has room for.
	MaxFilterNodes = 1 << 15

	// MaxTags is the most tags of one member. Metadata of MetaMax bytes has room
	// for half as many.
	MaxTags = MetaMax

	// MaxKeys is the most keys in one KeyResponse. Serf's response of 1 KiB has
	// room for forty; the limit can be configured.
	MaxKeys = 1 << 12

	// MaxDimensions is the most dimensions of a coordinate. Serf has 8.
	MaxDimensions = 128

	// maxZone is the longest IPv6 zone in bytes: an interface's name, which
	// Linux ends at 15; other systems' are longer.
	maxZone = 64

	// lzwLitWidth is the number of bits of an LZW literal: bytes.
	lzwLitWidth = 8
)
