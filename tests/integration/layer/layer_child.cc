// The layer child alone, as noded is it under that name: small, so that tests start it quickly.
#include "rootfs/layer/child.h"

int main(int argc, char** argv) {
  return argc > 0 && noded::layer::IsLayerChild(argv[0]) ? noded::layer::LayerMain() : 2;
}
