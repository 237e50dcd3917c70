import CApusKernels
import Testing

extension KernelTests {
  @Suite struct LevelTests {
    @Test func aLimitLowersTheLevelAndTheHighestGivesItBack() {
      let best = TestedLevel.best
      for limit in [apus_level_portable, apus_level_avx2, apus_level_avx512] {
        apus_kernels_limit(limit, true)
        #expect(apus_kernels_level().rawValue == min(limit.rawValue, best.rawValue))
      }
      #expect(apus_kernels_level() == best)
    }

    @Test func dotProductsOfBytesCanBeForbidden() {
      apus_kernels_limit(apus_level_portable, true)
      #expect(!apus_kernels_vnni())
      apus_kernels_limit(apus_level_avx512, false)
      #expect(!apus_kernels_vnni())
      apus_kernels_limit(apus_level_avx512, true)
    }

    @Test func levelsHaveNames() {
      let names = [apus_level_portable, apus_level_avx2, apus_level_avx512].map {
        String(cString: apus_level_name($0))
      }
      #expect(names == ["portable", "avx2", "avx512"])
    }
  }
}
